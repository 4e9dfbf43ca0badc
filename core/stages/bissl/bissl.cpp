#include "stages/bissl/bissl.h"

#include "stages/bissl/options.h"
#include "stages/bissl/run.h"
#include "stages/monitor_options.h"
#include "stages/networks.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace bissl::host {
namespace {

double images_of_round(const LowerOptions& lower) {
  return static_cast<double>(lower.steps) * static_cast<double>(lower.step_samples());
}

/// `rounds = "auto"`: the lower level gets `share` of the images of the stages before it, whose
/// tables give their lengths in steps. The paper's lower level, 500 · 20 steps, sees a fifth of
/// what the 500 epochs before it see (arXiv 2410.02387).
void settle_rounds(const Pipeline& pipeline, Stage& stage) {
  constexpr double share = 0.2;
  constexpr int64_t fewest = 8;
  if (!parse_bissl(stage.table).rounds_open) {
    return;
  }
  double before = 0;
  for (std::string name = stage.from; !name.empty(); name = pipeline.stage(name).from) {
    const Stage& one = pipeline.stage(name);
    const std::optional<double> images = stage_kind(one.kind).pretext_images(one);
    if (!images) {
      return;
    }
    before += *images;
  }
  const double rounds = share * before / images_of_round(parse_lower(stage.table.table("lower")));
  check_countable("rounds = \"auto\"", rounds, 1);
  stage.table.values["rounds"] = std::max<int64_t>(fewest, std::llround(rounds));
}

class BisslKind : public StageKind {
 public:
  const StageKindSpec& spec() const override { return spec_; }

  std::vector<DataUse> data(const Stage& stage) const override {
    const Table& table = stage.table;
    const Table& lower = table.table("lower");
    std::vector<DataUse> uses = {
        {.name = parse_lower(lower).data,
         .trains = true,
         .labels = takes_targets(lower.component("pretext"))},
        {.name = parse_upper(table.table("upper")).data, .trains = true, .labels = true}};
    const std::vector<DataUse> monitored = monitored_data(stage);
    uses.insert(uses.end(), monitored.begin(), monitored.end());
    return uses;
  }

  std::optional<double> pretext_images(const Stage& stage) const override {
    const BisslOptions options = parse_bissl(stage.table);
    if (options.rounds_open) {
      return std::nullopt;
    }
    return static_cast<double>(options.rounds) *
           images_of_round(parse_lower(stage.table.table("lower")));
  }

  void settle(const Pipeline& pipeline, Stage& stage) const override {
    settle_rounds(pipeline, stage);
  }

  std::optional<HeadOrigin> head(const Stage& stage) const override {
    const Table& upper = stage.table.table("upper");
    return HeadOrigin{&upper.component("downstream"), parse_upper(upper).data};
  }

  std::vector<std::string> view_tables() const override { return {"upper", "lower"}; }

  StageResults run(const StageContext& context) const override { return run_bissl(context); }

  std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                    bool measure) const override {
    return make_bissl_trial(context, plan, measure);
  }

 private:
  StageKindSpec spec_ = bissl_spec();
};

}  // namespace

const StageKind& bissl_kind() {
  static const BisslKind kind;
  return kind;
}

}  // namespace bissl::host
