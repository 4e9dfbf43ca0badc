#include "stages/analyse/analyse.h"

#include "analysis/classes.h"
#include "analysis/embedding.h"
#include "base/atomic_file.h"
#include "models/module_state.h"
#include "numerics/logistic_regression.h"
#include "stages/analyse/bank_pictures.h"
#include "stages/analyse/figures_of.h"
#include "stages/analyse/parts.h"
#include "stages/analyse/picture.h"
#include "stages/knn/classifier.h"
#include "stages/networks.h"
#include "stages/scoring.h"
#include "stages/trial.h"
#include "telemetry/interrupt.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace bissl::host {
namespace {

void append(const std::vector<std::string>& some, std::vector<std::string>& all) {
  all.insert(all.end(), some.begin(), some.end());
}

class AnalyseRun {
 public:
  explicit AnalyseRun(const StageContext& context)
      : context_(context),
        parts_(build_analyse(context)),
        networks_(parent_networks(context)),
        progress_(
            context,
            (networks_ + static_cast<int64_t>(parts_.options.compare.size())) * parts_.batches(),
            parts_.options.batch),
        after_batch_([this] { progress_.done(); }) {
    for (const auto& source : parts_.sources) {
      rows_.push_back(spread_evenly(source->samples(), parts_.options.samples));
      const at::Tensor categories = categories_of(*source);
      categories_.push_back(categories);
      labels_.push_back(categories.defined() ? categories.index_select(0, rows_.back())
                                             : at::Tensor());
    }
  }

  StageResults run();

 private:
  /// What a network's look at the bank is for.
  struct BankLook {
    std::vector<MetricResult>& scores;
    std::vector<std::string>* pictures;  ///< null: none are drawn
  };
  /// What the network in the backbone makes of all sources; by the bank, too, where it is asked.
  AnalysedNetwork look(const BankLook* of_bank);
  void classify(size_t source, const at::Tensor& bank, const at::Tensor& features,
                const BankLook& look) const;
  LogisticFit fit_bank(const at::Tensor& bank) const;
  void classify(size_t source, const LogisticFit& fit, const at::Tensor& features,
                std::vector<MetricResult>& scores) const;
  bool draws(const char* picture) const {
    const std::vector<std::string>& pictures = parts_.options.pictures;
    return std::find(pictures.begin(), pictures.end(), picture) != pictures.end();
  }
  std::vector<std::string> draw(const AnalysedNetwork& network,
                                std::vector<MetricResult>& metrics) const;
  at::Tensor place(const std::string& picture, const at::Tensor& features) const;

  const StageContext& context_;
  AnalyseParts parts_;
  int64_t networks_;
  ScoringProgress progress_;
  std::function<void()> after_batch_;
  std::vector<at::Tensor> rows_;        ///< of which figures are, by source
  std::vector<at::Tensor> categories_;  ///< of all samples, by source; undefined for none
  std::vector<at::Tensor> labels_;      ///< of the rows
  std::map<std::string, AnalysedNetwork> compared_;
};

AnalysedNetwork AnalyseRun::look(const BankLook* of_bank) {
  AnalysedNetwork network;
  const at::Tensor bank = parts_.bank && of_bank != nullptr
                              ? bank_features(context_, parts_, after_batch_)
                              : at::Tensor();
  // Before the neighbours' classifier scales the bank's rows.
  const std::optional<LogisticFit> fit =
      bank.defined() ? std::optional(fit_bank(bank)) : std::nullopt;
  for (size_t source = 0; source < parts_.sources.size(); ++source) {
    const AnalysedSource all = look_at_source(context_, parts_, source, after_batch_);
    if (bank.defined() && categories_[source].defined()) {
      classify(source, bank, all.features, *of_bank);
      classify(source, *fit, all.features, of_bank->scores);
    }
    if (bank.defined() && of_bank->pictures != nullptr && draws("neighbours")) {
      append(draw_neighbours(context_, parts_, source, unit_rows(bank), all.features),
             *of_bank->pictures);
    }
    network.push_back(chosen_rows(all, rows_[source]));
  }
  return network;
}

void AnalyseRun::classify(size_t source, const at::Tensor& bank, const at::Tensor& features,
                          const BankLook& look) const {
  const AnalyseOptions& options = parts_.options;
  const int64_t classes = parts_.bank->data().targets().width;
  const at::Tensor labels = categories_of(*parts_.bank);
  const auto samples = static_cast<double>(features.size(0));
  for (const int64_t k : options.k) {
    const KnnClassifier classifier(bank, labels, classes, {k, options.temperature});
    const at::Tensor votes = classifier.votes(features.to(bank.device()));
    const at::Tensor ranks = ranks_of(votes, categories_[source]);
    const auto add = [&](int64_t first) {
      look.scores.push_back({.data = options.data[source],
                             .metric = fmt::format("knn{}_top{}", k, first),
                             .higher_is_better = true,
                             .values = {ranks.lt(first).sum().item<double>() / samples}});
    };
    add(1);
    if (classes > 5) {
      add(5);
    }
    if (k == options.k.front() && look.pictures != nullptr && draws("confusion")) {
      append(draw_confusion(context_, parts_, source, votes, categories_[source]), *look.pictures);
    }
  }
}

LogisticFit AnalyseRun::fit_bank(const at::Tensor& bank) const {
  const at::Tensor rows = spread_evenly(bank.size(0), parts_.options.samples);
  return fit_logistic_regression(
      bank.cpu().index_select(0, rows), categories_of(*parts_.bank).index_select(0, rows),
      parts_.bank->data().targets().width, {.seed = context_.seed_for("logistic")});
}

void AnalyseRun::classify(size_t source, const LogisticFit& fit, const at::Tensor& features,
                          std::vector<MetricResult>& scores) const {
  const at::Tensor logits = at::addmm(fit.bias, features.to(at::kDouble), fit.weight.t());
  const LogitScore score = score_logits(logits, categories_[source]);
  const auto add = [&](const char* metric, bool higher_is_better, double value) {
    scores.push_back({.data = parts_.options.data[source],
                      .metric = metric,
                      .higher_is_better = higher_is_better,
                      .values = {value}});
  };
  add("logistic_top1", true, score.accuracy);
  add("logistic_loss", false, score.loss);
  const Measured duality =
      nc3(features.index_select(0, rows_[source]), labels_[source], fit.weight);
  if (duality.value) {
    add("nc3", false, *duality.value);
  }
}

at::Tensor AnalyseRun::place(const std::string& picture, const at::Tensor& features) const {
  if (picture == "tsne") {
    return tsne(features, {.perplexity = parts_.options.perplexity, .after_iteration = [] {
                             if (interrupted()) {
                               throw Interrupted();
                             }
                           }});
  }
  at::Tensor points = at::zeros({features.size(0), 2}, at::kDouble);
  const Components found = principal_components(features, 2);
  points.narrow(1, 0, found.points.size(1)).copy_(found.points);
  return points;
}

/// Pictures of the network and of those that it is compared with. Returns the files' names.
std::vector<std::string> AnalyseRun::draw(const AnalysedNetwork& network,
                                          std::vector<MetricResult>& metrics) const {
  constexpr int64_t neighbours = 10;
  const std::string own = context_.stage.from.empty() ? "scratch" : context_.stage.from;
  std::vector<std::string> files;
  for (size_t source = 0; source < network.size(); ++source) {
    const std::string& data = parts_.options.data[source];
    const std::vector<std::string> all = context_.data.sample_names(data);
    FeaturePicture picture;
    for (int64_t i = 0; i < rows_[source].size(0); ++i) {
      const int64_t row = rows_[source].data_ptr<int64_t>()[i];
      picture.names.push_back(all.at(static_cast<size_t>(row)));
      if (labels_[source].defined()) {
        picture.classes.push_back(labels_[source].data_ptr<int64_t>()[i]);
      }
    }
    if (labels_[source].defined()) {
      picture.legend = parts_.sources[source]->data().targets().names;
    }
    for (const std::string name : {"pca", "tsne"}) {
      if (!draws(name.c_str())) {
        continue;
      }
      picture.title =
          fmt::format("{} of data.{}", name == "tsne" ? "t-SNE" : "Principal components", data);
      const at::Tensor points = place(name, network[source].features);
      const Measured kept = trustworthiness(network[source].features, points, neighbours);
      if (kept.value) {
        metrics.push_back({.data = data,
                           .metric = name + "_trustworthiness",
                           .higher_is_better = true,
                           .values = {*kept.value}});
      }
      picture.panels = {{own, points}};
      for (const std::string& other : parts_.options.compare) {
        picture.panels.push_back({other, place(name, compared_.at(other).at(source).features)});
      }
      const std::string file = fmt::format("{}-{}", name, data);
      write_file_atomically(context_.folder / (file + ".svg"), picture.svg());
      write_file_atomically(context_.folder / (file + ".csv"), picture.csv());
      files.push_back(file + ".svg");
      files.push_back(file + ".csv");
    }
  }
  return files;
}

StageResults AnalyseRun::run() {
  const c10::NoGradGuard no_grad;
  const EvaluationMode mode(parts_.backbone->module());
  for (const std::string& name : parts_.options.compare) {
    load_compared(context_, parts_, name);
    compared_[name] = look(nullptr);
  }
  std::vector<std::vector<MetricResult>> of_networks;
  std::map<std::string, std::string> left_out;
  std::vector<std::string> pictures;
  StageResults results;
  for (int64_t number = 0; number < networks_; ++number) {
    load_network(context_, parts_, number);
    std::vector<MetricResult>& metrics = of_networks.emplace_back();
    const BankLook of_bank{metrics, number == 0 ? &pictures : nullptr};
    const AnalysedNetwork network = look(&of_bank);
    for (MetricResult& figure : compute_figures(parts_, network, compared_, labels_, left_out)) {
      metrics.push_back(std::move(figure));
    }
    if (number == 0) {
      append(draw(network, metrics), pictures);
    }
  }
  results.repeats = networks_;
  results.metrics = merged(of_networks);
  results.details = {{"pictures", pictures}, {"left_out", left_out}};
  return results;
}

class AnalyseTrial : public StageTrial {
 public:
  using StageTrial::StageTrial;

  void build() override {
    parts_ = build_analyse(context());
    take_over(context(), backbone_file, parts_.backbone->module(), 0);
    describe(*parts_.sources.front(), *parts_.backbone);
  }

  void judge_images() override {
    for (const auto& source : parts_.sources) {
      look_at_images("data", *source);
    }
    if (parts_.bank) {
      look_at_images("bank", *parts_.bank);
    }
  }

  void judge_batches() override {}
  void judge_length() override {}

  void score() override {
    for (size_t source = 0; source < parts_.sources.size(); ++source) {
      for (const std::string& name : planned_scores(parts_, source)) {
        promise(source, name, name != "logistic_loss" && name != "nc3");
      }
      for (const std::string& picture : parts_.options.pictures) {
        if (picture == "pca" || picture == "tsne") {
          promise(source, picture + "_trustworthiness", true);
        }
      }
    }
    for (const PlannedFigure& figure : planned_figures(parts_)) {
      promise(figure.source, figure.metric(), figure.info->higher_is_better);
    }
  }

  void step() override {
    const c10::NoGradGuard no_grad;
    const EvaluationMode mode(parts_.backbone->module());
    seconds_ = pass("batch", parts_.options.batch, [this] {
      analysed_features(parts_.sources.front()->make(0).views[0], *parts_.backbone);
    });
  }

  void estimate() override {
    const auto networks =
        parent_networks(context()) + static_cast<int64_t>(parts_.options.compare.size());
    plan().seconds = static_cast<double>(networks * parts_.batches()) * seconds_;
  }

 private:
  void promise(size_t source, const std::string& metric, std::optional<bool> higher_is_better) {
    plan().metrics.push_back({.data = parts_.options.data[source],
                              .metric = metric,
                              .higher_is_better = higher_is_better});
  }

  AnalyseParts parts_;
  double seconds_ = 0;
};

class AnalyseKind : public StageKind {
 public:
  const StageKindSpec& spec() const override { return spec_; }

  std::vector<DataUse> data(const Stage& stage) const override {
    const AnalyseOptions options = parse_analyse(stage.table);
    std::vector<DataUse> uses;
    if (!options.bank.empty()) {
      uses.push_back({.name = options.bank, .trains = true, .labels = true});
    }
    for (const std::string& name : options.data) {
      uses.push_back({.name = name, .scores = true});
    }
    return uses;
  }

  StageResults run(const StageContext& context) const override { return AnalyseRun(context).run(); }

  std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                    bool measure) const override {
    return std::make_unique<AnalyseTrial>(context, plan, measure);
  }

 private:
  StageKindSpec spec_ = analyse_spec();
};

}  // namespace

const StageKind& analyse_kind() {
  static const AnalyseKind kind;
  return kind;
}

}  // namespace bissl::host
