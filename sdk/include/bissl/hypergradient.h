#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/implicit_system.h"
#include "bissl/tensor_list.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bissl {

/// How a solve ended.
enum class SolveStatus {
  direct,              ///< the approximation does not iterate
  converged,           ///< the residual fell below the tolerance
  iteration_limit,     ///< all iterations were used
  negative_curvature,  ///< a direction with pᵀAp ≤ 0 was met
  diverged,            ///< the residual grew beyond reason or was not finite
};
BISSL_API std::string to_string(SolveStatus status);

/// An approximation of v = (I + H/(w + δ))⁻¹·u, and how it was found. All of it is logged.
struct HypergradientSolution {
  TensorList v;                              ///< finite, whatever the status
  SolveStatus status = SolveStatus::direct;  ///< how it ended
  int64_t iterations = 0;                    ///< of the iterative ones
  int64_t hessian_products = 0;              ///< exact ones
  int64_t gradients = 0;                     ///< shifted gradients, as finite differences take them
  /// ‖u − (I + H/(w + δ))·v‖ / ‖u‖ as the solver knows it; negative where it does not.
  double relative_residual = -1.0;
  /// δ of the system that v approximates the solution of; none where there is no such system.
  std::optional<double> damping;
};

/// Evaluations of the lower level.
struct SystemCost {
  int64_t products = 0;   ///< exact products with H
  int64_t gradients = 0;  ///< at shifted parameters
};

/// What an approximator needs of a system. A solve is one upper step's; a system is used by all
/// upper steps of a round.
struct BISSL_API HypergradientNeeds {
  SystemCost solve{};   ///< of one solve at most
  SystemCost shared{};  ///< made once for a system; at most one product a parameter counts
  SystemCost steps{};   ///< of one solve at most, through recorded steps
  SystemCost fresh{};   ///< of one solve at most, with fresh batches; each product builds a graph
  /// Training steps of the round that the host records, with weights, buffers and batch; see
  /// RecordedSteps.
  int64_t lower_steps = 0;
  /// Batches of a solve of its own; see FreshBatches.
  int64_t fresh_batches = 0;
  /// Identifiers of the abilities that solve needs (bissl/system_abilities.h).
  std::vector<std::string_view> abilities{};

  /// Whether backbone and loss must be twice differentiable.
  bool second_derivatives() const {
    return solve.products + shared.products + steps.products + fresh.products > 0;
  }

  /// Whether solve needs this ability.
  bool has_ability(std::string_view id) const;
};

/// Approximates the solution v of the linear system of implicit differentiation. What v means to
/// the upper level is not its concern: the upper problem takes it from there. The damping δ is a
/// parameter of the approximators that use it.
///
/// Free of side effects on the models; must return finite tensors for finite `u`. Threads: one at
/// a time; gradient mode is off when solve is called.
class BISSL_API Hypergradient : public Component {
 public:
  ~Hypergradient() override;

  /// v from u, the gradient of the upper loss in the lower level's solution; u has the shapes of
  /// the system's parameters and must not be changed.
  virtual HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) = 0;

  /// What solve needs of the system: decides what the host records and checks beforehand, and what
  /// it estimates. The same at each call.
  virtual HypergradientNeeds needs() const = 0;
};

/// An ability of approximators that carry state from one solve to the next (a warm start), for
/// checkpoints.
class HypergradientState {
 public:
  /// Of this ability and revision.
  static constexpr std::string_view id = "bissl.hypergradient.state/1";

  /// All that the next solve depends on besides u and the system. Names are unique.
  virtual NamedTensors state() const = 0;

  /// Restores what state() gave. Throws Error of kind input when it does not fit.
  virtual void load_state(const NamedTensors& state) = 0;

 protected:
  ~HypergradientState() = default;
};

/// What the factory of a hypergradient approximator is given besides its options.
struct HypergradientContext {};

}  // namespace bissl
