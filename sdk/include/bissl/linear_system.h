#pragma once

#include "bissl/export.h"
#include "bissl/hypergradient.h"
#include "bissl/implicit_system.h"
#include "bissl/parameters.h"
#include "bissl/tensor_list.h"

#include <cstdint>
#include <string>
#include <vector>

// For approximators that solve A·v = u with A = I + H/(w + δ): the operator and its options, the
// rules for u = 0 and for solutions that are not usable, warm starts.
namespace bissl {

/// How H·x is computed.
struct BISSL_API ProductOptions {
  std::string products = "exact";  ///< "exact", "finite-difference" or "central-difference"
  double difference_step = 1e-2;   ///< length of a difference's shift, as a share of 1 + ‖θ‖

  /// Shifted gradients that a product takes: 0 for exact ones.
  int64_t gradients_each() const;

  /// What `products` products of one solve, and `shared` ones made once for a system, need of it.
  HypergradientNeeds needs(int64_t products, int64_t shared = 0) const;
};

/// The declaration of ProductOptions, to be embedded (Schema::embed).
BISSL_API Schema<ProductOptions> product_schema();

/// Declares the damping δ of everything that solves the system, by products or not.
template <class Options>
void add_damping(Schema<Options>& schema, double Options::*member) {
  schema
      .add("damping", member,
           "δ: the system solved is (I + H/(λ + δ))·v = u; large values draw v towards u")
      .at_least(0);
}

/// Options of everything that solves the system by products.
struct SystemOptions {
  double damping = 10.0;   ///< δ
  ProductOptions product;  ///< how H·x is computed

  /// ProductOptions::needs.
  HypergradientNeeds needs(int64_t products, int64_t shared = 0) const {
    return product.needs(products, shared);
  }
};

/// The declaration of SystemOptions, to be embedded.
BISSL_API Schema<SystemOptions> system_schema();

/// Products with Hessians, counted.
///
/// A finite difference is (∇L(θ + h·x) − ∇L(θ))/h with h = difference_step·(1 + ‖θ‖)/‖x‖, its
/// central form (∇L(θ + h·x) − ∇L(θ − h·x))/(2h) (Pearlmutter 1994, equations 1 and 2). Rounding
/// of the gradients is amplified by about 1/difference_step, and so are their jumps at kinks of
/// ReLUs that lie within the step, which is why the default is not smaller.
class BISSL_API HessianProducts {
 public:
  /// With no products made so far.
  explicit HessianProducts(ProductOptions options) : options_(std::move(options)) {}

  /// H·x of `system`, which may be another at each call.
  TensorList operator()(ImplicitSystem& system, const TensorList& x);

  /// Writes what was spent into `solution`.
  void count_into(HypergradientSolution& solution) const;

 private:
  TensorList difference(ImplicitSystem& system, const TensorList& x);

  ProductOptions options_;
  int64_t products_ = 0;
  int64_t gradients_ = 0;
};

/// A = I + H/(w + δ), counting what its products cost.
class BISSL_API LinearSystem {
 public:
  /// `system` must outlive it.
  LinearSystem(ImplicitSystem& system, const SystemOptions& options)
      : system_(system), products_(options.product), damping_(options.damping) {}

  /// With exact products.
  LinearSystem(ImplicitSystem& system, double damping)
      : system_(system), products_({}), damping_(damping) {}

  /// A·x.
  TensorList operator()(const TensorList& x);

  /// H·x.
  TensorList hessian_product(const TensorList& x) { return products_(system_, x); }

  /// u − A·v.
  TensorList residual(const TensorList& u, const TensorList& v);

  /// w + δ.
  double weight() const { return system_.weight() + damping_; }

  /// The solution v = 0 of u = 0, which needs no product.
  HypergradientSolution zero_solution(const TensorList& u) const;

  /// Completes a solution: writes into it what its products cost and which system it belongs to,
  /// and applies replace_if_diverged.
  void finish(HypergradientSolution& solution, const TensorList& u) const;

 private:
  ImplicitSystem& system_;
  HessianProducts products_;
  double damping_;
};

/// A residual that has grown to this multiple of ‖u‖ will not become small again.
inline constexpr double divergence_limit = 1e6;

/// Replaces by u a solution that diverged or is not finite: the first-order gradient is
/// better than such an iterate. The residual, which was the iterate's, becomes unknown.
BISSL_API void replace_if_diverged(HypergradientSolution& solution, const TensorList& u);

/// The last solution of a solver, from which the next solve may begin.
class BISSL_API WarmStart : public HypergradientState {
 public:
  /// Where to begin: the last solution if it fits `u`, else empty.
  TensorList begin(const TensorList& u) const;

  /// Keeps a solution for the next solve.
  void keep(const TensorList& v) { last_ = copy(v); }

  NamedTensors state() const override;
  void load_state(const NamedTensors& state) override;

 private:
  TensorList last_;
};

}  // namespace bissl
