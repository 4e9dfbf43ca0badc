#include "stages/knn/knn.h"

#include "analysis/neighbours.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "data/prefetcher.h"
#include "data/target_rules.h"
#include "models/module_state.h"
#include "pipeline/diagnostics.h"
#include "stages/knn/classifier.h"
#include "stages/memory.h"
#include "stages/networks.h"
#include "stages/option_schemas.h"
#include "stages/precision.h"
#include "stages/scoring.h"
#include "stages/trial.h"
#include "telemetry/peak_memory.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <functional>
#include <set>

namespace bissl::host {
namespace {

struct Options {
  std::string bank;
  std::vector<std::string> data;
  int64_t k = 20;
  double temperature = 0.07;
  int64_t batch = 250;
  std::string precision = "fp32";
};

const Schema<Options>& schema() {
  static const Schema<Options> schema = [] {
    Schema<Options> s;
    s.add("bank", &Options::bank,
          "labelled data source in which the neighbours are looked for, as a rule the training's")
        .required()
        .names_data();
    s.add("data", &Options::data, "data source to score on, or several; with the bank's classes")
        .required()
        .or_one()
        .names_data();
    s.add("k", &Options::k, "how many neighbours vote; at most the images of the bank")
        .at_least(1)
        .unit("images");
    s.add("temperature", &Options::temperature,
          "τ: a neighbour with the cosine s votes with the weight exp(s/τ)")
        .more_than(0);
    s.add("batch", &Options::batch, "most images that go through the backbone at once")
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
      if (distinct.count(options.bank) != 0) {
        findings.push_back({Finding::Severity::error, "data",
                            "the bank is scored on itself: each image would be its own neighbour"});
      }
    });
    return s;
  }();
  return schema;
}

StageKindSpec knn_spec() {
  StageKindSpec kind;
  kind.name = "knn";
  kind.summary = "scores the backbone of another stage by its nearest neighbours, without training";
  kind.table = table_of(schema());
  mark_precision(kind.table);
  kind.table.augment = one_view();
  kind.needs_parent = true;
  kind.takes = {"backbone"};
  return kind;
}

/// What the stage consists of; for its run and its check.
struct Parts {
  Options options;
  std::shared_ptr<BatchSource> bank;
  std::vector<std::shared_ptr<BatchSource>> scored;  ///< in the order of options.data
  std::shared_ptr<Backbone> backbone;

  int64_t classes() const { return bank->data().targets().width; }
};

Parts build(const StageContext& context) {
  const ViewsChoice& augment = context.stage.table.augment();
  Parts parts;
  parts.options = schema().parse(context.stage.table.values);
  const Options& options = parts.options;
  const BatchOptions batch{
      .batch = options.batch, .order = Order::sequential, .purpose = "evaluate"};
  parts.bank = make_labelled_batches(context, "bank", options.bank, augment, batch);
  if (parts.bank->data().targets().kind != TargetKind::category) {
    fail_input("bank: data.{} has {}, and neighbours vote for one class of an image",
               spelled_key(options.bank), describe(parts.bank->data().targets()));
  }
  if (options.k > parts.bank->samples()) {
    fail_input("k = {}: data.{} has {} images, and no more can be neighbours", options.k,
               spelled_key(options.bank), parts.bank->samples());
  }
  for (const std::string& data : options.data) {
    parts.scored.push_back(
        scored_batches(context, {"", data, augment, options.batch}, parts.bank->data().targets()));
    if (parts.scored.back()->view_shape() != parts.bank->view_shape()) {
      fail_input("data: the views of data.{} have another shape than those of the bank, data.{}",
                 spelled_key(data), spelled_key(options.bank));
    }
  }
  parts.backbone =
      make_backbone(context, parts.bank->view_shape(), context.seed_for("init/backbone"));
  // The bank's features are all in memory.
  refuse_beyond_memory({.key = "bank",
                        .batch = parts.bank->samples(),
                        .views = {{1, 1, parts.backbone->features()}}});
  return parts;
}

/// Features of a batch in evaluation mode, on the batch's device.
at::Tensor features_of(const Batch& batch, Backbone& backbone) {
  const at::Tensor features = backbone.forward(batch.views[0]);
  if (!at::isfinite(features).all().item<bool>()) {
    fail_run("the backbone's features are not finite: the stage that it is from diverged");
  }
  return features;
}

KnnClassifier make_classifier(const StageContext& context, const Parts& parts,
                              const std::function<void()>& after_batch) {
  const int64_t images = parts.bank->samples();
  const at::Tensor features = at::empty({images, parts.backbone->features()},
                                        at::dtype(at::kFloat).device(context.settings.device));
  const at::Tensor labels = at::empty({images}, at::kLong);
  Prefetcher prefetched(parts.bank, 0, parts.bank->batches(), context.settings.loader_threads);
  for (int64_t begin = 0; begin < images;) {
    const Batch batch = prefetched.next();
    const int64_t count = batch.targets.dense.size(0);
    features.narrow(0, begin, count).copy_(features_of(batch, *parts.backbone));
    labels.narrow(0, begin, count).copy_(batch.targets.dense);
    begin += count;
    after_batch();
  }
  return {features, labels, parts.classes(), {parts.options.k, parts.options.temperature}};
}

/// The shares of images whose class is among the first and, with more than 5 classes, the first
/// five.
std::vector<MetricResult> score(const StageContext& context, const Parts& parts, size_t source,
                                const KnnClassifier& classifier,
                                const std::function<void()>& after_batch) {
  int64_t images = 0;
  int64_t top1 = 0;
  int64_t top5 = 0;
  const int64_t batches = parts.scored[source]->batches();
  Prefetcher prefetched(parts.scored[source], 0, batches, context.settings.loader_threads);
  for (int64_t i = 0; i < batches; ++i) {
    const Batch batch = prefetched.next();
    const at::Tensor ranks = ranks_of(classifier.votes(features_of(batch, *parts.backbone)),
                                      batch.targets.dense.cpu().contiguous());
    images += ranks.size(0);
    top1 += ranks.lt(1).sum().item<int64_t>();
    top5 += ranks.lt(5).sum().item<int64_t>();
    after_batch();
  }
  const auto result = [&](const char* name, int64_t right) {
    return MetricResult{.data = parts.options.data[source],
                        .metric = name,
                        .higher_is_better = true,
                        .values = {static_cast<double>(right) / static_cast<double>(images)}};
  };
  std::vector<MetricResult> metrics = {result("top1", top1)};
  if (parts.classes() > 5) {
    metrics.push_back(result("top5", top5));
  }
  return metrics;
}

StageResults run_knn(const StageContext& context) {
  const c10::NoGradGuard no_grad;
  const Parts parts = build(context);
  const EvaluationMode mode(parts.backbone->module());
  const int64_t networks = parent_networks(context);
  int64_t batches = parts.bank->batches();
  for (const auto& source : parts.scored) {
    batches += source->batches();
  }
  ScoringProgress progress(context, networks * batches, parts.options.batch);
  const auto after_batch = [&] { progress.done(); };
  std::vector<std::vector<MetricResult>> scores;
  for (int64_t network = 0; network < networks; ++network) {
    take_over(context, backbone_file, parts.backbone->module(), network);
    const KnnClassifier classifier = make_classifier(context, parts, after_batch);
    std::vector<MetricResult>& of_network = scores.emplace_back();
    for (size_t i = 0; i < parts.scored.size(); ++i) {
      const std::vector<MetricResult> found = score(context, parts, i, classifier, after_batch);
      of_network.insert(of_network.end(), found.begin(), found.end());
    }
  }
  StageResults results;
  results.repeats = networks;
  results.metrics = merged(scores);
  return results;
}

class KnnTrial : public StageTrial {
 public:
  using StageTrial::StageTrial;

  void build() override {
    parts_ = host::build(context());
    take_over(context(), backbone_file, parts_.backbone->module(), 0);
    describe(*parts_.bank, *parts_.backbone);
  }

  void judge_images() override {
    look_at_images("bank", *parts_.bank);
    for (const auto& source : parts_.scored) {
      look_at_images("data", *source);
    }
  }

  void judge_batches() override {}
  void judge_length() override {}

  /// Beside the bank.
  void judge_memory() override {
    require_memory({.key = "batch",
                    .batch = std::min(parts_.options.batch, parts_.bank->samples()),
                    .beside = bank_bytes(),
                    .make =
                        [this](int64_t samples) {
                          return make_labelled_batches(
                                     context(), "bank", parts_.options.bank,
                                     context().stage.table.augment(),
                                     {.batch = samples, .order = Order::sequential})
                              ->make(0);
                        },
                    .work = evaluation_pass(*parts_.backbone)},
                   parts_.bank->batches());
  }

  void score() override {
    for (const std::string& data : parts_.options.data) {
      plan().metrics.push_back({.data = data, .metric = "top1", .higher_is_better = true});
      if (parts_.classes() > 5) {
        plan().metrics.push_back({.data = data, .metric = "top5", .higher_is_better = true});
      }
    }
  }

  void step() override {
    const c10::NoGradGuard no_grad;
    const EvaluationMode mode(parts_.backbone->module());
    seconds_ = pass("batch", parts_.options.batch,
                    [this] { features_of(parts_.bank->make(0), *parts_.backbone); });
  }

  void estimate() override {
    int64_t batches = parts_.bank->batches();
    for (const auto& source : parts_.scored) {
      batches += source->batches();
    }
    plan().seconds = static_cast<double>(parent_networks(context()) * batches) * seconds_;
    hold_batches(*parts_.bank, std::min(parts_.options.batch, parts_.bank->samples()),
                 parts_.bank->batches());
  }

  /// Neighbours are looked for after the pass of a batch, whose memory is free by then.
  void estimate_memory() override {
    const double nearness = nearness_bytes(parts_.bank->samples(), parts_.options.batch);
    const auto freed = static_cast<double>(memory_above_now());
    plan().held_bytes += bank_bytes() + std::max(0.0, nearness - freed);
  }

 private:
  /// Features and labels of the bank.
  double bank_bytes() const {
    const auto images = static_cast<double>(parts_.bank->samples());
    const auto width = static_cast<double>(parts_.backbone->features());
    return images * (width * sizeof(float) + sizeof(int64_t));
  }

  Parts parts_;
  double seconds_ = 0;
};

class KnnKind : public StageKind {
 public:
  const StageKindSpec& spec() const override { return spec_; }

  std::vector<DataUse> data(const Stage& stage) const override {
    const Options options = schema().parse(stage.table.values);
    std::vector<DataUse> uses = {{.name = options.bank, .trains = true, .labels = true}};
    for (const std::string& name : options.data) {
      uses.push_back({.name = name, .labels = true, .scores = true});
    }
    return uses;
  }

  StageResults run(const StageContext& context) const override { return run_knn(context); }

  std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                    bool measure) const override {
    return std::make_unique<KnnTrial>(context, plan, measure);
  }

 private:
  StageKindSpec spec_ = knn_spec();
};

}  // namespace

const StageKind& knn_kind() {
  static const KnnKind kind;
  return kind;
}

}  // namespace bissl::host
