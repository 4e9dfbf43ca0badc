#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "bissl/optimizer.h"
#include "bissl/pretext.h"
#include "data/batches.h"
#include "models/training_step.h"
#include "stages/context.h"
#include "stages/match.h"
#include "stages/pace.h"
#include "stages/pretrain/options.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace bissl::host {

/// The labelled task beside the pretext task, where there is one.
struct SupervisedParts {
  SupervisedOptions options;
  std::shared_ptr<BatchSource> source;
  std::shared_ptr<Downstream> downstream;
};

/// What a pretrain stage consists of before its first step; for its run and its check.
struct PretrainParts {
  PretrainOptions options;
  std::shared_ptr<BatchSource> source;
  std::shared_ptr<Backbone> backbone;
  std::shared_ptr<Pretext> pretext;
  std::shared_ptr<Optimizer> optimizer;
  int64_t steps = 0;
  /// How many steps make the stage as long as that of its `match`, before they are rounded.
  std::optional<double> matched_steps;
  std::optional<Pace> pace;
  std::optional<SupervisedParts> supervised;

  /// What is trained: the backbone's parameters, the pretext task's, and the labelled task's.
  NamedTensors parameters() const;
  /// What all steps take, but for the seconds.
  TrainingCost cost() const;
};
/// Throws Error.
PretrainParts build_pretrain(const StageContext& context);

/// Loss and gradients in `parameters` on a batch of the labelled task, times its weight.
LossGradient supervised_gradient(const PretrainParts& parts, const TensorList& parameters,
                                 const Batch& batch);

}  // namespace bissl::host
