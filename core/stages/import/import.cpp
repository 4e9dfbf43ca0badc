#include "stages/import/import.h"

#include "models/module_state.h"
#include "stages/import/parts.h"
#include "stages/networks.h"
#include "stages/trial.h"

#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>

namespace bissl::host {
namespace {

StageResults run_import(const StageContext& context) {
  const ImportParts parts = build_import(context);
  save_weights(context.folder, backbone_file, parts.backbone->module());
  if (parts.downstream) {
    save_weights(context.folder, head_file, parts.downstream->module());
  }
  StageResults results;
  results.details = {{"coverage", coverage_json(parts.coverage)}};
  return results;
}

class ImportTrial : public StageTrial {
 public:
  using StageTrial::StageTrial;

  void build() override {
    const ImportParts parts = build_import(context());
    const Coverage& coverage = parts.coverage;
    hand_on(backbone_file, parts.backbone->module());
    if (parts.downstream) {
      hand_on(head_file, parts.downstream->module());
    }
    plan().networks = fmt::format(
        "{} of {}, rule {}; {} features, {} backbone parameters{}{}", coverage.matched.size(),
        std::filesystem::path(parts.options.file).filename().string(), coverage.rule,
        parts.backbone->features(),
        count(tensors_of(trainable_parameters(parts.backbone->module()))),
        coverage.interpolated.empty()
            ? ""
            : fmt::format("; interpolated: {}", fmt::join(grid_texts(coverage), "; ")),
        coverage.counters.empty()
            ? ""
            : fmt::format(
                  "; {} counters of batch normalisation are not in the file, as in those of "
                  "PyTorch before 0.4.1, and stay 0",
                  coverage.counters.size()));
    if (!coverage.allowed.empty()) {
      plan().warnings.push_back(fmt::format(
          "{} of the file's or the backbone's tensors do not match, as `allow` permits: {}",
          coverage.allowed.size(), fmt::join(coverage.allowed, ", ")));
    }
  }

  void judge_images() override {}
  void judge_batches() override {}
  void judge_length() override {}
  void step() override {}
  void estimate() override {}
};

class ImportKind : public StageKind {
 public:
  const StageKindSpec& spec() const override { return spec_; }

  std::vector<DataUse> data(const Stage& stage) const override {
    const auto data = head_data(stage.table);
    return data ? std::vector<DataUse>{{.name = *data, .labels = true}} : std::vector<DataUse>{};
  }

  std::vector<std::string> files(const Stage& stage) const override {
    return {parse_import(stage.table).file};
  }

  std::optional<HeadOrigin> head(const Stage& stage) const override {
    const auto data = head_data(stage.table);
    return data ? std::optional(
                      HeadOrigin{&stage.table.table("head").component("downstream"), *data})
                : std::nullopt;
  }

  StageResults run(const StageContext& context) const override { return run_import(context); }

  std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                    bool measure) const override {
    return std::make_unique<ImportTrial>(context, plan, measure);
  }

 private:
  StageKindSpec spec_ = import_spec();
};

}  // namespace

const StageKind& import_kind() {
  static const ImportKind kind;
  return kind;
}

}  // namespace bissl::host
