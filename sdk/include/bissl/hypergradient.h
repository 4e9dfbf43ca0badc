#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/layers.h"
#include "bissl/tensor_list.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl {

class LowerProblem;

/// A training step of the lower level as approximators that differentiate through it see it: with
/// g = ∇_θ(L_P + (λ/2)·‖θ − θ_D‖²),
///
///     m ← momentum·m + preconditioner∘g,    θ ← θ − learning_rate·m
///
/// A step of another form, or with weight decay, is described by the nearest of this form.
struct LowerStep {
  double learning_rate = 0;   ///< the schedule's factor included
  double momentum = 0;        ///< share of the last m that is kept
  TensorList preconditioner;  ///< with the factor of gradient clipping; empty stands for ones
  /// L_P before the step, on the step's own batch. Nothing of it is kept from one call to the
  /// next: a product costs a graph. Lives as long as the problem that gave it.
  LowerProblem* problem = nullptr;
};

/// A layer of the backbone in one forward pass of L_P, for approximations by layers.
struct LayerGradient {
  size_t weight = 0;                ///< which of the parameters it is
  std::optional<size_t> bias;       ///< likewise; none where there is none or it is not trained
  at::Tensor input;                 ///< (N, …, I), or (N, I, H, W) of a convolution
  at::Tensor output_gradient;       ///< ∂L_P/∂output, (N, …, O) or (N, O, H', W')
  bool convolution = false;         ///< rather than linear
  layers::Conv2dGeometry geometry;  ///< of a convolution
};

/// The lower level as a hypergradient approximator sees it: θ_P, φ_P and the pretext batch are
/// fixed while it exists, and H = ∇²_θ L_P(θ_P, φ_P) with φ_P held constant.
///
/// Nothing here changes models, buffers or random generators. Threads: one at a time.
class BISSL_API LowerProblem {
 public:
  virtual ~LowerProblem();

  /// H·x. Exact, from a graph of the gradient that is built at the first call and then kept. `x`
  /// has the shapes of the backbone's parameters. The result carries no graph.
  virtual TensorList hessian_product(const TensorList& x) = 0;

  /// ∇_θ L_P(θ_P + shift, φ_P) on the same batch with the same random numbers. An empty `shift`
  /// stands for zero; that gradient is computed once and kept.
  virtual TensorList gradient(const TensorList& shift) = 0;

  /// θ_P itself, not a copy: to be read only.
  virtual const TensorList& parameters() const = 0;

  /// λ, the weight of the proximity term (λ/2)·‖θ_P − θ_D‖².
  virtual double lambda() const = 0;

  /// The names of the backbone's parameters, in the order of all lists.
  virtual const std::vector<std::string>& parameter_names() const = 0;

  /// A number that no other lower problem of this process has: what was derived from H (a
  /// factorisation, say) holds as long as it stays the same. Never 0.
  virtual uint64_t id() const = 0;

  /// How the lower level's optimizer scales gradients, per element: its step is about
  /// −lr·(preconditioner ∘ gradient). Ones by default (plain gradient descent).
  virtual TensorList preconditioner();

  /// The last training steps of the round, oldest first: as many as HypergradientNeeds asks for,
  /// or all if the round has fewer. None by default.
  virtual std::vector<LowerStep> steps();

  /// All calls of layers::conv2d and layers::linear with a weight of the backbone, from a forward
  /// and a backward pass made for this call. Layers of other kinds are not in it. None by default.
  virtual std::vector<LayerGradient> layer_gradients();
};

/// How a solve ended.
enum class SolveStatus {
  direct,              ///< the approximation does not iterate
  converged,           ///< the residual fell below the tolerance
  iteration_limit,     ///< all iterations were used
  negative_curvature,  ///< a direction with pᵀAp ≤ 0 was met
  diverged,            ///< the residual grew beyond reason or was not finite
};
BISSL_API std::string to_string(SolveStatus status);

/// An approximation of v = (I + H/(λ + δ))⁻¹·u, and how it came about. All of it is logged.
struct HypergradientSolution {
  TensorList v;                              ///< finite, whatever the status
  SolveStatus status = SolveStatus::direct;  ///< how it ended
  int64_t iterations = 0;                    ///< of the iterative ones
  int64_t hessian_products = 0;              ///< exact ones
  int64_t gradients = 0;                     ///< shifted gradients, as finite differences take them
  /// ‖u − (I + H/(λ + δ))·v‖ / ‖u‖ as the solver knows it; negative where it does not.
  double relative_residual = -1.0;
};

/// What an approximator asks of the lower problem. A solve is one upper step's; a lower problem
/// serves all upper steps of a round.
struct HypergradientNeeds {
  int64_t hessian_products = 0;  ///< of one solve at most
  int64_t shared_products = 0;   ///< made once for a lower problem; at most one a parameter counts
  int64_t gradients = 0;         ///< shifted gradients of one solve at most
  int64_t shared_gradients = 0;  ///< the same, made once for a lower problem
  bool preconditioner = false;   ///< LowerProblem::preconditioner()
  int64_t lower_steps = 0;       ///< of the round that the host records: weights, buffers and batch
  int64_t step_products = 0;     ///< of one solve at most, through recorded steps
  int64_t step_gradients = 0;    ///< the same for shifted gradients
  bool layers = false;           ///< layer_gradients(), once for a lower problem

  /// Whether backbone and loss must be twice differentiable.
  bool second_derivatives() const { return hessian_products + shared_products + step_products > 0; }
};

/// Approximates the hypergradient of the upper level by implicit differentiation. The damping δ is
/// a parameter of the approximators that use it.
///
/// Free of side effects on the models; must return finite tensors for finite `u`. Threads: one at
/// a time; gradient mode is off when solve is called.
class BISSL_API Hypergradient : public Component {
 public:
  ~Hypergradient() override;

  /// v from u = ∇_θ L_D(θ_P, φ_D); u has the shapes of the backbone's parameters and must not be
  /// changed.
  virtual HypergradientSolution solve(const TensorList& u, LowerProblem& lower) = 0;

  /// What solve asks of the lower problem: decides what the host records and checks beforehand,
  /// and what it estimates.
  virtual HypergradientNeeds needs() const = 0;

  /// δ of the system that solve approximates the solution of; none where it is not known. For
  /// audits.
  virtual std::optional<double> damping() const;

  /// State carried from one solve to the next (a warm start), for checkpoints. None by default.
  virtual NamedTensors state() const;
  /// Restores what state() gave. Throws Error of kind input when it does not fit.
  virtual void load_state(const NamedTensors& state);
};

/// What the factory of a hypergradient approximator is given besides its options.
struct HypergradientContext {};

}  // namespace bissl
