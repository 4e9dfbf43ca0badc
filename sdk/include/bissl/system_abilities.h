#pragma once

#include "bissl/export.h"
#include "bissl/implicit_system.h"
#include "bissl/layers.h"
#include "bissl/tensor_list.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

// What an ImplicitSystem may give besides products with H. An approximator that cannot work without
// one of these names it in HypergradientNeeds::abilities, so that the host refuses a lower level
// without it before the training.
namespace bissl {

/// How the lower level's optimizer scales gradients.
class SystemPreconditioner {
 public:
  /// Of this ability and revision.
  static constexpr std::string_view id = "bissl.system.preconditioner/1";

  /// Factors per element: a step of the optimizer is about −lr·(preconditioner ∘ gradient). Ones
  /// for plain gradient descent.
  virtual TensorList preconditioner() = 0;

 protected:
  ~SystemPreconditioner() = default;
};

/// A training step of the lower level as approximators that differentiate through it see it: with
/// g = ∇(L + (w/2)·‖θ − anchor‖²),
///
///     m ← momentum·m + preconditioner∘g,    θ ← θ − learning_rate·m
///
/// A step of another form, or with weight decay, is described by the nearest of this form.
struct LowerStep {
  double learning_rate = 0;   ///< the schedule's factor included
  double momentum = 0;        ///< share of the last m that is kept
  TensorList preconditioner;  ///< with the factor of gradient clipping; empty: ones
  /// L before the step, on the step's own batch. Nothing of it is kept from one call to the next: a
  /// product costs a graph. Lives as long as the system that gave it.
  ImplicitSystem* system = nullptr;
};

/// The training steps that led to θ.
class RecordedSteps {
 public:
  /// Of this ability and revision.
  static constexpr std::string_view id = "bissl.system.recorded-steps/1";

  /// The last ones of the round, oldest first: as many as HypergradientNeeds::lower_steps, or all
  /// if the round has fewer.
  virtual std::vector<LowerStep> recorded_steps() = 0;

 protected:
  ~RecordedSteps() = default;
};

/// L on batches that are drawn for one solve, where the system's own batch serves a whole round:
/// for solvers that see H in samples.
class FreshBatches {
 public:
  /// Of this ability and revision.
  static constexpr std::string_view id = "bissl.system.fresh-batches/1";

  /// L at θ on batch `index` of the solve under way, from 0 and below
  /// HypergradientNeeds::fresh_batches. Each solve has other batches; one that is made again after
  /// an interruption has the same. Its first product builds a graph. The system and its graph live
  /// until the next call.
  virtual ImplicitSystem& fresh_system(int64_t index) = 0;

 protected:
  ~FreshBatches() = default;
};

/// A layer of the backbone in one forward pass of L, for approximations by layers.
struct LayerGradient {
  size_t weight = 0;                ///< which of the parameters it is
  std::optional<size_t> bias;       ///< likewise; none where there is none or it is not trained
  at::Tensor input;                 ///< (N, …, I), or (N, I, H, W) of a convolution
  at::Tensor output_gradient;       ///< ∂L/∂output, (N, …, O) or (N, O, H', W')
  bool convolution = false;         ///< rather than linear
  layers::Conv2dGeometry geometry;  ///< of a convolution
};

/// L layer by layer.
class LayerGradients {
 public:
  /// Of this ability and revision.
  static constexpr std::string_view id = "bissl.system.layer-gradients/1";

  /// All calls of layers::conv2d and layers::linear with one of the parameters as weight, from a
  /// forward and a backward pass made for this call. Layers of other kinds are not in it.
  virtual std::vector<LayerGradient> layer_gradients() = 0;

 protected:
  ~LayerGradients() = default;
};

}  // namespace bissl
