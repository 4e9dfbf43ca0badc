#pragma once

#include "bissl/downstream.h"
#include "data/batches.h"
#include "stages/context.h"
#include "stages/step_memory.h"
#include "store/stage_results.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// `evaluate = { … }`
struct EvaluateOptions {
  std::string data;
  int64_t batch = 250;
};

EvaluateOptions parse_evaluate(const Table& table);
TableSpec evaluate_table();

/// A data source on which networks are scored.
struct ScoredSource {
  std::string path;  ///< leads to the keys: "evaluate.", or empty for the stage's own
  std::string data;
  const ViewsChoice& augment;
  int64_t batch = 250;  ///< most samples at once
};

/// The batches of a source in their order; of `batch` samples, if that is given, instead of its
/// own. Error(input) if the data's targets are not `targets`, those that a head is trained on, or
/// if memory cannot hold the batches.
std::shared_ptr<BatchSource> scored_batches(const StageContext& context, const ScoredSource& source,
                                            const TargetSpec& targets,
                                            std::optional<int64_t> batch = std::nullopt);

/// The metrics of backbone and head on the first `batches` of the source, in evaluation mode; both
/// are put back into the mode that they were in. `after_batch`, if set, is called after each batch.
/// Each metric has one value.
std::vector<MetricResult> score(const StageContext& context, const std::string& data,
                                const std::shared_ptr<BatchSource>& source, int64_t batches,
                                Backbone& backbone, Downstream& downstream,
                                const std::function<void()>& after_batch = {});

/// The metrics that score() will give, from as few samples as do.
std::vector<MetricResult> try_score(const StageContext& context, const ScoredSource& source,
                                    const TargetSpec& targets, Backbone& backbone,
                                    Downstream& downstream);

/// What score() does with a batch of a source, for the memory that it takes; `batches` are the
/// source's. All must outlive it.
StepOnBatch scoring_pass(const StageContext& context, const ScoredSource& source,
                         const BatchSource& batches, Backbone& backbone, Downstream& downstream);

/// The metrics of several networks, each with its mean; one that a network lacks is NaN there.
std::vector<MetricResult> merged(const std::vector<std::vector<MetricResult>>& networks);

/// Puts a module into evaluation mode while it lives.
class EvaluationMode {
 public:
  explicit EvaluationMode(torch::nn::Module& module);
  ~EvaluationMode();
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  torch::nn::Module& module_;
  bool training_;
};

/// The display of a stage that scores and does not train, and the end of it when the user asks.
/// In a group of processes all make the same calls of done().
class ScoringProgress {
 public:
  /// `batches` of at most `batch` samples each.
  ScoringProgress(const StageContext& context, int64_t batches, int64_t batch);
  ~ScoringProgress();
  /// A batch is through. Throws Interrupted.
  void done();

 private:
  const RunSettings& settings_;
  std::unique_ptr<Progress> progress_;
  int64_t done_ = 0;
};

}  // namespace bissl::host
