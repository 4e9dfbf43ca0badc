#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "bissl/optimizer.h"
#include "data/batches.h"
#include "models/training_step.h"
#include "stages/context.h"
#include "stages/finetune/options.h"
#include "stages/mix.h"
#include "stages/pace.h"
#include "stages/scoring.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace bissl::host {

/// What one repeat of a finetune stage consists of before its first step; for its run and its
/// check.
struct FinetuneParts {
  FinetuneOptions options;
  std::shared_ptr<BatchSource> source;
  std::shared_ptr<Backbone> backbone;
  std::shared_ptr<Downstream> downstream;
  NamedTensors parameters;  ///< that are trained: the head's, and the backbone's unless frozen
  std::shared_ptr<Optimizer> optimizer;
  int64_t steps = 0;
  std::optional<Pace> pace;
  std::optional<BatchMix> mix;
  /// With `proximity`: for each of `parameters` the value that it is tied to; undefined for those
  /// that are not. Empty without.
  TensorList anchor;
};
/// Throws Error.
FinetuneParts build_finetune(const StageContext& context, int64_t repeat);

/// What the stage is scored on; none without `evaluate`. Refers to the stage.
std::optional<ScoredSource> scored_source(const Stage& stage);

/// Its batches. Error(input) if they do not fit the training's.
std::shared_ptr<BatchSource> test_batches(const StageContext& context, const ScoredSource& scored,
                                          const BatchSource& training);

/// What is random in one repeat, by a word: "noise#2".
std::string use_of_repeat(const char* what, int64_t repeat);

/// Loss and gradients on batch number `number` of the training, mixed if the stage asks for it; a
/// frozen backbone has none.
LossGradient finetune_gradient(const FinetuneParts& parts, const Batch& batch, int64_t number);

/// Adds the gradient of the proximity term, whose value it returns; 0 without one.
double add_proximity(const FinetuneParts& parts, TensorList& gradients);

}  // namespace bissl::host
