#include "bissl/error.h"
#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve_ex.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

struct Options {
  double damping = 10.0;
  int64_t max_parameters = 5000;
};

Schema<Options> schema() {
  Schema<Options> schema;
  add_damping(schema, &Options::damping);
  schema
      .add("max_parameters", &Options::max_parameters,
           "refuse a backbone with more: the matrix takes 8 bytes times its square, and a product "
           "for each")
      .at_least(1)
      .at_most(40000)
      .unit("parameters");
  return schema;
}

/// The dense Hessian by products with all unit vectors, symmetrised, and an LU solve in double
/// precision. The matrix is made once for a system and serves all upper steps of a round.
class Exact : public Hypergradient {
 public:
  explicit Exact(Options options) : options_(options) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    HypergradientSolution solution;
    solution.hessian_products = build(u, system);
    solution.damping = options_.damping;
    const double weight = system.weight() + options_.damping;
    const at::Tensor matrix = at::eye(hessian_.size(0), at::kDouble).add(hessian_, 1.0 / weight);
    const at::Tensor right = flatten(u);
    // The form that reports a singular matrix as a number instead of throwing.
    const auto [left, info] = at::linalg_solve_ex(matrix, right);
    const double u_norm = right.norm().item<double>();
    solution.v = unflatten(left, u);
    if (u_norm > 0) {
      solution.relative_residual = right.sub(matrix.matmul(left)).norm().item<double>() / u_norm;
    }
    // A singular system, or one so close to it that nothing is solved.
    if (info.item<int64_t>() != 0 || !(solution.relative_residual < 1e-3)) {
      solution.status = u_norm > 0 ? SolveStatus::diverged : SolveStatus::direct;
    }
    replace_if_diverged(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override {
    return {.shared = {.products = options_.max_parameters}};
  }

 private:
  /// Makes the matrix if the kept one is another system's; returns the products that it cost.
  int64_t build(const TensorList& u, ImplicitSystem& system) {
    const int64_t size = count(u);
    if (size > options_.max_parameters) {
      fail_input(
          "the backbone has {} parameters, more than max_parameters = {}; choose an iterative "
          "approximator (\"cg\", \"minres\"), a smaller backbone, or a larger limit",
          size, options_.max_parameters);
    }
    if (system_ == system.id()) {
      return 0;
    }
    at::Tensor rows = at::empty({size, size}, at::kDouble);
    for (int64_t i = 0; i < size; ++i) {
      rows[i].copy_(flatten(system.hessian_product(unit_vector(i, u))));
    }
    hessian_ = rows.add(rows.t()).mul_(0.5);
    system_ = system.id();
    return size;
  }

  Options options_;
  at::Tensor hessian_;
  uint64_t system_ = 0;  ///< that the matrix belongs to
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("exact", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Exact>(
      {.name = "exact",
       .summary = "dense solve of (I + H/(λ + δ))·v = u in double precision, for small backbones",
       .source = ""},
      schema());
}
