#include "stages/analyse/analyse.h"

#include "analysis/calibration.h"
#include "analysis/classes.h"
#include "models/module_state.h"
#include "numerics/logistic_regression.h"
#include "pipeline/metric_name.h"
#include "stages/analyse/bank_pictures.h"
#include "stages/analyse/class_pictures.h"
#include "stages/analyse/figures_of.h"
#include "stages/analyse/memory.h"
#include "stages/analyse/parts.h"
#include "stages/analyse/plane_pictures.h"
#include "stages/analyse/probes.h"
#include "stages/analyse/saliency_sheet.h"
#include "stages/analyse/source_features.h"
#include "stages/knn/classifier.h"
#include "stages/networks.h"
#include "stages/scoring.h"
#include "stages/trial.h"
#include "telemetry/peak_memory.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
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
        progress_(context, parts_.batches(networks_), parts_.options.batch),
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
  /// What becomes of a network's scores and pictures.
  struct Findings {
    std::vector<MetricResult>& scores;
    std::vector<std::string>* pictures;  ///< null: none are drawn
  };
  /// What the network in the backbone makes of all sources: that of the parent for an empty name,
  /// else a compared one, which is scored by nothing.
  AnalysedNetwork look(const std::string& name, const Findings* findings);
  void score(size_t source, const at::Tensor& bank, const std::vector<Probe>& probes,
             const at::Tensor& features, const Findings& findings);
  Classified by_neighbours(size_t source, const at::Tensor& bank, int64_t k,
                           const at::Tensor& features, std::vector<MetricResult>& scores) const;
  Classified by_probe(size_t source, const Probe& probe, const at::Tensor& features,
                      std::vector<MetricResult>& scores);
  void explain(size_t source, const std::string& name, const std::vector<Probe>& probes);
  void add(size_t source, const std::string& metric, bool higher_is_better, double value,
           std::vector<MetricResult>& scores) const {
    scores.push_back({.data = parts_.options.data[source],
                      .metric = metric,
                      .higher_is_better = higher_is_better,
                      .values = {value}});
  }
  bool draws(const char* picture) const { return parts_.draws(picture); }

  const StageContext& context_;
  AnalyseParts parts_;
  int64_t networks_;
  ScoringProgress progress_;
  std::function<void()> after_batch_;
  std::vector<at::Tensor> rows_;        ///< of which figures are, by source
  std::vector<at::Tensor> categories_;  ///< of all samples, by source; undefined for none
  std::vector<at::Tensor> labels_;      ///< of the rows
  std::map<std::string, AnalysedNetwork> compared_;
  std::map<size_t, SaliencySheet> saliency_;  ///< by source
  std::map<std::string, std::string> left_out_;
  nlohmann::json angles_;  ///< of the first network
};

AnalysedNetwork AnalyseRun::look(const std::string& name, const Findings* findings) {
  AnalysedNetwork network;
  // Compared networks are asked for what the pictures of saliency show.
  const bool explains = draws("saliency") && (findings == nullptr || findings->pictures != nullptr);
  const bool asks = findings != nullptr || explains;
  const at::Tensor bank =
      parts_.bank && asks ? bank_features(context_, parts_, after_batch_) : at::Tensor();
  // Before the neighbours' classifier scales the bank's rows.
  const bool has_head = findings == nullptr && parts_.heads.count(name) != 0;
  const std::optional<ProbeRows> rows =
      has_head ? std::nullopt : probe_rows(parts_, bank, after_batch_);
  const std::vector<Probe> probes = findings != nullptr ? make_probes(context_, parts_, name, rows)
                                    : explains ? make_explaining_probe(context_, parts_, name, rows)
                                               : std::vector<Probe>();
  for (size_t source = 0; source < parts_.sources.size(); ++source) {
    const AnalysedSource all = look_at_source(context_, parts_, source, after_batch_);
    if (findings != nullptr && categories_[source].defined()) {
      score(source, bank, probes, all.features, *findings);
    }
    if (bank.defined() && findings != nullptr && findings->pictures != nullptr &&
        draws("neighbours")) {
      append(draw_neighbours(context_, parts_, source, unit_rows(bank), all.features),
             *findings->pictures);
    }
    if (explains) {
      explain(source, name, probes);
    }
    network.push_back(chosen_rows(all, rows_[source]));
  }
  return network;
}

void AnalyseRun::score(size_t source, const at::Tensor& bank, const std::vector<Probe>& probes,
                       const at::Tensor& features, const Findings& findings) {
  std::vector<Classified> found;
  for (const int64_t k : bank.defined() ? parts_.options.k : std::vector<int64_t>()) {
    Classified neighbours = by_neighbours(source, bank, k, features, findings.scores);
    if (k == parts_.options.k.front()) {
      found.push_back(std::move(neighbours));
    }
  }
  for (const Probe& probe : probes) {
    found.push_back(by_probe(source, probe, features, findings.scores));
  }
  if (findings.pictures == nullptr || found.empty()) {
    return;
  }
  const std::string& data = parts_.options.data[source];
  const std::vector<std::string> names = parts_.class_names(source);
  if (draws("confusion")) {
    append(draw_confusion(context_, data, names, found), *findings.pictures);
    append(draw_class_accuracy(context_, data, names, found), *findings.pictures);
  }
  if (draws("reliability")) {
    append(draw_reliability(context_, data, found), *findings.pictures);
  }
}

Classified AnalyseRun::by_neighbours(size_t source, const at::Tensor& bank, int64_t k,
                                     const at::Tensor& features,
                                     std::vector<MetricResult>& scores) const {
  const int64_t classes = parts_.bank->data().targets().width;
  const KnnClassifier classifier(bank, categories_of(*parts_.bank), classes,
                                 {k, parts_.options.temperature});
  const at::Tensor votes = classifier.votes(features.to(bank.device()));
  const at::Tensor ranks = ranks_of(votes, categories_[source]);
  const auto share = [&](int64_t first) {
    return ranks.lt(first).sum().item<double>() / static_cast<double>(features.size(0));
  };
  add(source, fmt::format("knn{}_top1", k), true, share(1), scores);
  if (classes > 5) {
    add(source, fmt::format("knn{}_top5", k), true, share(5), scores);
  }
  return {fmt::format("kNN with k = {}", k), votes.argmax(1), categories_[source], {}};
}

Classified AnalyseRun::by_probe(size_t source, const Probe& probe, const at::Tensor& features,
                                std::vector<MetricResult>& scores) {
  const ProbeAnswers answers = ask(probe, features);
  const LogitScore found = score_logits(answers.logits, categories_[source]);
  add(source, probe.name + "_top1", true, found.accuracy, scores);
  add(source, probe.name + "_loss", false, found.loss, scores);
  add(source, probe.name + "_ece", false, reliability(answers.logits, categories_[source]).ece,
      scores);
  if (probe.name == "logistic") {
    const Measured duality =
        nc3(features.index_select(0, rows_[source]), labels_[source], probe.weight);
    if (duality.value) {
      add(source, "nc3", false, *duality.value, scores);
    } else {
      left_out_[score_text(parts_.options.data[source], "nc3")] = duality.why_not;
    }
  }
  return {probe.name, answers.classes, categories_[source], answers.logits};
}

void AnalyseRun::explain(size_t source, const std::string& name, const std::vector<Probe>& probes) {
  const auto [sheet, is_new] = saliency_.try_emplace(source);
  if (is_new) {
    sheet->second = begin_saliency(parts_, source);
  }
  const std::string& own = context_.stage.from;
  const std::string shown = !name.empty() ? name : own.empty() ? "scratch" : own;
  const std::optional<std::string> why_not =
      probes.empty() ? std::optional<std::string>("the stage has no head, and no probe is fitted")
                     : add_saliency(context_, parts_, shown, probes, sheet->second);
  if (why_not) {
    left_out_[score_text(parts_.options.data[source], "saliency_" + shown)] = *why_not;
  }
}

StageResults AnalyseRun::run() {
  const c10::NoGradGuard no_grad;
  const EvaluationMode mode(parts_.backbone->module());
  std::vector<std::unique_ptr<EvaluationMode>> of_heads;
  for (const auto& [stage, head] : parts_.heads) {
    of_heads.push_back(std::make_unique<EvaluationMode>(head->module()));
  }
  for (const std::string& name : parts_.options.compare) {
    load_compared(context_, parts_, name);
    compared_[name] = look(name, nullptr);
  }
  std::vector<std::vector<MetricResult>> of_networks;
  std::vector<std::string> pictures;
  StageResults results;
  for (int64_t number = 0; number < networks_; ++number) {
    load_network(context_, parts_, number);
    std::vector<MetricResult>& metrics = of_networks.emplace_back();
    const Findings findings{metrics, number == 0 ? &pictures : nullptr};
    const AnalysedNetwork network = look("", &findings);
    for (MetricResult& figure : compute_figures(parts_, network, compared_, labels_, left_out_)) {
      metrics.push_back(std::move(figure));
    }
    if (number == 0) {
      angles_ = compared_cosines(parts_, network, compared_);
      for (size_t source = 0; source < network.size(); ++source) {
        append(draw_planes(context_, parts_, {source, rows_[source], labels_[source]}, network,
                           compared_, metrics, left_out_),
               pictures);
      }
      for (auto& [source, sheet] : saliency_) {
        if (!sheet.arms.empty()) {
          // The stage's own network, which is looked at after those it is compared with, is first.
          std::rotate(sheet.arms.begin(), sheet.arms.end() - 1, sheet.arms.end());
          append(draw_saliency(context_, parts_, source, sheet), pictures);
        }
      }
    }
  }
  results.repeats = networks_;
  results.metrics = merged(of_networks);
  results.details = {{"pictures", pictures}, {"left_out", left_out_}};
  results.describes = true;
  if (!angles_.empty()) {
    results.details["principal_cosines"] = angles_;
  }
  return results;
}

class AnalyseTrial : public StageTrial {
 public:
  using StageTrial::StageTrial;

  void build() override {
    parts_ = build_analyse(context());
    take_over(context(), backbone_file, parts_.backbone->module(), 0);
    if (const auto head = parts_.heads.find(""); head != parts_.heads.end()) {
      take_over(context(), head_file, head->second->module(), 0);
    }
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

  void judge_batches() override {
    for (size_t source = 0; source < parts_.sources.size(); ++source) {
      warn_all(plane_doubts(parts_.options, parts_.options.data[source],
                            std::min(parts_.sources[source]->samples(), parts_.options.samples)));
    }
  }
  void judge_length() override {}

  void judge_memory() override {
    refuse_beyond_memory(parts_);
    const AnalyseMemory memory = analyse_memory(parts_);
    const BatchSource& source = *parts_.sources.front();
    require_memory({.key = "batch",
                    .batch = std::min(parts_.options.batch, source.samples()),
                    .beside = memory.kept,
                    .make =
                        [this](int64_t samples) {
                          return make_batches(context(), parts_.options.data.front(),
                                              context().stage.table.augment(),
                                              {.batch = samples, .order = Order::sequential})
                              ->make(0);
                        },
                    .work = evaluation_pass(*parts_.backbone)},
                   source.batches());
  }

  void score() override {
    for (size_t source = 0; source < parts_.sources.size(); ++source) {
      for (const PlannedScore& score : planned_scores(parts_, source)) {
        promise(source, score.metric, score.higher_is_better);
      }
      const bool enough = std::min(parts_.sources[source]->samples(), parts_.options.samples) >
                          2 * trusted_neighbours;
      for (const std::string& plane : chosen_planes(parts_.options)) {
        if (enough) {
          promise(source, plane + "_trustworthiness", true);
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
    plan().seconds = static_cast<double>(parts_.batches(parent_networks(context()))) * seconds_;
    const BatchSource& source = *parts_.sources.front();
    hold_batches(source, std::min(parts_.options.batch, source.samples()), source.batches());
  }

  /// Figures are computed after the passes of batches, whose memory is free by then.
  void estimate_memory() override {
    // OpenBLAS's, which products of matrices in double precision fill and passes of images do not.
    constexpr double buffer = 32 << 20;
    const AnalyseMemory memory = analyse_memory(parts_);
    const auto freed = static_cast<double>(memory_above_now());
    plan().held_bytes += buffer + memory.kept + std::max(0.0, memory.working - freed);
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
