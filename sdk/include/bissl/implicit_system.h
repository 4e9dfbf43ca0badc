#pragma once

#include "bissl/component.h"
#include "bissl/export.h"
#include "bissl/tensor_list.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl {

/// The linear system A·v = u of implicit differentiation, A = I + H/w, and what A is made of, as a
/// hypergradient approximator sees it. It belongs to a lower level
///
///     min over θ of  L(θ) + (w/2)·‖θ − anchor‖²,
///
/// at whose solution H = ∇²_θ L(θ); (w·I + H)⁻¹·u = v/w. In BiSSL θ is θ_P, L is L_P with φ_P held
/// constant, and w is λ. Weights and batch are fixed while the system exists.
///
/// What a lower level can give besides is an ability (bissl/system_abilities.h), found by
/// bissl::capability. Nothing here changes models, buffers or random generators. Threads: one at a
/// time.
class BISSL_API ImplicitSystem : public Component {
 public:
  ~ImplicitSystem() override;

  /// H·x. Exact, from a graph of the gradient that is built at the first call and then kept. `x`
  /// has the shapes of the parameters. The result carries no graph.
  virtual TensorList hessian_product(const TensorList& x) = 0;

  /// ∇L(θ + shift) on the same batch with the same random numbers. An empty `shift` is zero; that
  /// gradient is computed once and kept.
  virtual TensorList gradient(const TensorList& shift) = 0;

  /// θ itself, not a copy: to be read only.
  virtual const TensorList& parameters() const = 0;

  /// The names of the parameters, in the order of all lists.
  virtual const std::vector<std::string>& parameter_names() const = 0;

  /// w, more than 0.
  virtual double weight() const = 0;

  /// A number that no other system of this process has: what was derived from H (a factorisation,
  /// say) holds as long as it stays the same. Never 0.
  virtual uint64_t id() const = 0;
};

}  // namespace bissl
