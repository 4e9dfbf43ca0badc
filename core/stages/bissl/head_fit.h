#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "bissl/targets.h"
#include "pipeline/pipeline.h"
#include "stages/context.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

namespace bissl::host {

/// The parameters of a head whose logits are x·Wᵀ + b of the backbone's features x.
struct LinearHead {
  at::Tensor weight;  ///< W (K, D): the module's own tensor
  at::Tensor bias;    ///< b (K), likewise
};

/// Those of a task for category targets that reads the backbone's features and whose module holds
/// a matrix (K, D) and a vector (K) and nothing else, if its outputs are those: that is tried, with
/// other numbers in both for the time. None for any other task.
std::optional<LinearHead> linear_head(Downstream& downstream, const TargetSpec& targets,
                                      int64_t features);

/// What the fit of a head found.
struct HeadFitReport {
  int64_t rows = 0;        ///< views that it was fitted on
  double loss_before = 0;  ///< mean cross entropy on them with the weights it had before
  double loss = 0;         ///< with those that were fitted
  double accuracy = 0;
  double ridge = 0;
  std::optional<double> held_out_loss{};  ///< at that ridge, on images held out of the fit
  std::optional<double> held_out_accuracy{};
  bool converged = false;
};

/// What a head is fitted on: `views` views of each image of a labelled source.
struct HeadFitData {
  std::string data;
  const ViewsChoice& augment;
  int64_t batch = 1;  ///< images whose statistics batch normalisation shares
  int64_t views = 1;
};

/// Fits a linear head by multinomial logistic regression (numerics/logistic_regression.h) to the
/// features that the upper level's first steps would see: those of the backbone in training mode on
/// shuffled batches. The backbone's weights, buffers and mode and LibTorch's random generator stay
/// as they are. Throws Interrupted where the user asks to stop, with the head as it was.
HeadFitReport fit_head(const StageContext& context, Backbone& backbone, const LinearHead& head,
                       const HeadFitData& data);

}  // namespace bissl::host
