#pragma once

#include "bissl/export.h"
#include "bissl/tensor_list.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl {

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
  /// stands for zero.
  virtual TensorList gradient(const TensorList& shift) = 0;

  /// λ, the weight of the proximity term (λ/2)·‖θ_P − θ_D‖².
  virtual double lambda() const = 0;

  /// The names of the backbone's parameters, in the order of all lists.
  virtual const std::vector<std::string>& parameter_names() const = 0;
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
  TensorList v;  ///< finite, whatever the status
  SolveStatus status = SolveStatus::direct;
  int64_t iterations = 0;
  int64_t hessian_products = 0;
  /// ‖u − (I + H/(λ + δ))·v‖ / ‖u‖ as the solver knows it; negative where it does not.
  double relative_residual = -1.0;
};

/// Approximates the hypergradient of the upper level by implicit differentiation. The damping δ is
/// a parameter of the approximators that use it.
///
/// Free of side effects on the models; must return finite tensors for finite `u`. Threads: one at
/// a time; gradient mode is off when solve is called.
class BISSL_API Hypergradient {
 public:
  virtual ~Hypergradient();

  /// v from u = ∇_θ L_D(θ_P, φ_D); u has the shapes of the backbone's parameters and must not be
  /// changed.
  virtual HypergradientSolution solve(const TensorList& u, LowerProblem& lower) = 0;

  /// Whether solve calls hessian_product: the loss and the backbone must then be twice
  /// differentiable.
  virtual bool needs_hessian() const = 0;

  /// How many Hessian products one solve makes at most, for estimates of cost.
  virtual int64_t products_per_solve() const = 0;

  /// State carried from one solve to the next (a warm start), for checkpoints. None by default.
  virtual NamedTensors state() const;
  virtual void load_state(const NamedTensors& state);
};

/// What the factory of a hypergradient approximator is given besides its options.
struct HypergradientContext {};

}  // namespace bissl
