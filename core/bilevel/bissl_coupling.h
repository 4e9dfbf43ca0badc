#pragma once

#include "bilevel/outer_problem.h"
#include "bissl/backbone.h"
#include "bissl/downstream.h"

namespace bissl::host {

/// The upper level of BiSSL (arXiv 2410.02387): x = (θ_D, φ_D), and
///
///     F = L_D(θ_P, φ_D) + γ·L_D(θ_D, φ_D).
///
/// The levels are coupled by the lower one's proximity term (λ/2)·‖θ_P − θ_D‖², whose mixed second
/// derivative is −λ·I; so v itself is what it pulls back.
class BisslCoupling : public OuterProblem {
 public:
  struct Models {
    Backbone& lower;         ///< θ_P: read only; its running statistics stay as they are
    Backbone& upper;         ///< θ_D
    Downstream& downstream;  ///< φ_D
  };

  BisslCoupling(Models models, double gamma);

  /// Those of upper_parameters.
  const NamedTensors& parameters() const override { return parameters_; }

  /// Changes nothing but the running statistics of θ_D, which see the batch when γ is not 0. Logs
  /// "plain_loss", L_D(θ_D, φ_D): 0 when γ is 0.
  OuterGradient direct(const OuterBatch& batch, uint64_t noise_seed) override;
  TensorList pull_back(const TensorList& v, double weight) override;

 private:
  Models models_;
  double gamma_;
  NamedTensors parameters_;
};

/// The parameters that the upper level trains: the upper backbone's, then the head's.
NamedTensors upper_parameters(Backbone& upper, Downstream& downstream);

/// θ_D ← (1 − a)·θ_D + a·θ_P over the backbones' parameters; buffers stay.
void adapt_upper_backbone(Backbone& upper, Backbone& lower, double strength);

}  // namespace bissl::host
