#include "stages/evaluate/evaluate.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/diagnostics.h"
#include "stages/networks.h"
#include "stages/option_schemas.h"
#include "stages/precision.h"
#include "stages/scoring.h"
#include "stages/trial.h"

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

struct Options {
  std::vector<std::string> data;
  int64_t batch = 250;
  std::string precision = "fp32";
};

const Schema<Options>& schema() {
  static const Schema<Options> schema = [] {
    Schema<Options> s;
    s.add("data", &Options::data,
          "data source to score on, or several; the targets are those of the training")
        .required()
        .or_one()
        .names_data();
    s.add("batch", &Options::batch, "most samples that are scored at once")
        .at_least(1)
        .unit("samples");
    add_precision(s, &Options::precision);
    s.rule([](const Options& options, std::vector<Finding>& findings) {
      const std::set<std::string> distinct(options.data.begin(), options.data.end());
      if (options.data.empty() || distinct.size() != options.data.size()) {
        findings.push_back({Finding::Severity::error, "data",
                            options.data.empty() ? "there is no data source to score on"
                                                 : "a data source is given twice"});
      }
    });
    return s;
  }();
  return schema;
}

StageKindSpec evaluate_spec() {
  StageKindSpec kind;
  kind.name = "evaluate";
  kind.summary = "scores a network that another stage has trained, without training it";
  kind.table = table_of(schema());
  mark_precision(kind.table);
  kind.table.augment = one_view();
  kind.needs_parent = true;
  kind.from_scratch = false;
  kind.takes = {"backbone", "head"};
  return kind;
}

/// What the stage consists of; for its run and its check.
struct Parts {
  std::shared_ptr<const DataView> training;  ///< the data that the head was trained on
  std::vector<ScoredSource> scored;
  std::vector<std::shared_ptr<BatchSource>> batches;  ///< of each of them
  std::shared_ptr<Backbone> backbone;
  std::shared_ptr<Downstream> downstream;
};

Parts build(const StageContext& context) {
  const Table& table = context.stage.table;
  const Options options = schema().parse(table.values);
  const Stage& parent = context.pipeline.stage(context.stage.from);
  const std::optional<HeadOrigin> head = stage_kind(parent.kind).head(parent);
  if (!head) {
    fail_input("stage.{}, of kind \"{}\", hands on no head with these settings{}",
               spelled_key(parent.name), parent.kind,
               stage_kind(parent.kind).spec().is_root
                   ? ": a head comes with its table `head = { data = …, downstream = … }`"
                   : "");
  }
  Parts parts;
  parts.training = context.data.open(head->data);
  for (const std::string& data : options.data) {
    parts.scored.push_back({"", data, table.augment(), options.batch});
    parts.batches.push_back(
        scored_batches(context, parts.scored.back(), parts.training->targets()));
    if (parts.batches.back()->view_shape() != parts.batches.front()->view_shape()) {
      const ImageShape& found = parts.batches.back()->view_shape();
      const ImageShape& first = parts.batches.front()->view_shape();
      fail_input(
          "data: the views of data.{} are {}x{}x{} (channels, height, width), those of data.{} "
          "{}x{}x{}; one network takes one size. Score them in stages of their own",
          spelled_key(data), found.channels, found.height, found.width,
          spelled_key(options.data.front()), first.channels, first.height, first.width);
    }
  }
  parts.backbone = make_backbone(context, parts.batches.front()->view_shape(),
                                 context.seed_for("init/backbone"));
  parts.downstream = make_downstream(context, *head->downstream, *parts.backbone,
                                     {.name = head->data,
                                      .targets = parts.training->targets(),
                                      .view = parts.batches.front()->view_shape()},
                                     context.seed_for("init/head"));
  return parts;
}

void take_over(const StageContext& context, Parts& parts, int64_t network) {
  take_over(context, backbone_file, parts.backbone->module(), network);
  take_over(context, head_file, parts.downstream->module(), network);
}

StageResults run_evaluate(const StageContext& context) {
  Parts parts = build(context);
  const int64_t networks = parent_networks(context);
  int64_t batches = 0;
  for (const auto& source : parts.batches) {
    batches += networks * source->batches();
  }
  ScoringProgress progress(context, batches, parts.scored.front().batch);
  std::vector<std::vector<MetricResult>> scores;
  for (int64_t network = 0; network < networks; ++network) {
    take_over(context, parts, network);
    std::vector<MetricResult>& of_network = scores.emplace_back();
    for (size_t i = 0; i < parts.scored.size(); ++i) {
      const std::vector<MetricResult> found =
          score(context, parts.scored[i].data, parts.batches[i], parts.batches[i]->batches(),
                *parts.backbone, *parts.downstream, [&] { progress.done(); });
      of_network.insert(of_network.end(), found.begin(), found.end());
    }
  }
  StageResults results;
  results.repeats = networks;
  results.metrics = merged(scores);
  return results;
}

class EvaluateTrial : public StageTrial {
 public:
  using StageTrial::StageTrial;

  void build() override {
    parts_ = host::build(context());
    take_over(context(), parts_, 0);
    describe(*parts_.batches.front(), *parts_.backbone);
  }

  void judge_images() override {
    for (const auto& source : parts_.batches) {
      look_at_images("data", *source);
    }
  }

  void judge_batches() override {}
  void judge_length() override {}

  void judge_memory() override {
    for (size_t i = 0; i < parts_.scored.size(); ++i) {
      const BatchSource& batches = *parts_.batches[i];
      require_memory(
          scoring_pass(context(), parts_.scored[i], batches, *parts_.backbone, *parts_.downstream),
          batches.batches());
    }
  }

  void score() override {
    for (const ScoredSource& scored : parts_.scored) {
      const std::vector<MetricResult> found = try_score(
          context(), scored, parts_.training->targets(), *parts_.backbone, *parts_.downstream);
      plan().metrics.insert(plan().metrics.end(), found.begin(), found.end());
    }
  }

  void step() override {
    seconds_ = pass("batch", parts_.scored.front().batch, [this] {
      host::score(context(), parts_.scored.front().data, parts_.batches.front(), 1,
                  *parts_.backbone, *parts_.downstream);
    });
  }

  void estimate() override {
    int64_t batches = 0;
    for (const auto& source : parts_.batches) {
      batches += source->batches();
    }
    plan().seconds = static_cast<double>(parent_networks(context()) * batches) * seconds_;
    const auto& largest =
        *std::max_element(parts_.batches.begin(), parts_.batches.end(),
                          [](const auto& a, const auto& b) { return a->samples() < b->samples(); });
    hold_batches(*largest, std::min(parts_.scored.front().batch, largest->samples()),
                 largest->batches());
  }

 private:
  Parts parts_;
  double seconds_ = 0;
};

class EvaluateKind : public StageKind {
 public:
  const StageKindSpec& spec() const override { return spec_; }

  std::vector<DataUse> data(const Stage& stage) const override {
    std::vector<DataUse> uses;
    for (const std::string& name : schema().parse(stage.table.values).data) {
      uses.push_back({.name = name, .labels = true, .scores = true});
    }
    return uses;
  }

  StageResults run(const StageContext& context) const override { return run_evaluate(context); }

  std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                    bool measure) const override {
    return std::make_unique<EvaluateTrial>(context, plan, measure);
  }

 private:
  StageKindSpec spec_ = evaluate_spec();
};

}  // namespace

const StageKind& evaluate_kind() {
  static const EvaluateKind kind;
  return kind;
}

}  // namespace bissl::host
