#include "bissl/hypergradient.h"
#include "bissl/plugin.h"

#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

struct Options {
  int64_t iterations = 5;
  double damping = 10.0;
  double tolerance = 0.0;
  std::string form = "global";
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("iterations", &Options::iterations,
           "most steps of conjugate gradient; each makes one Hessian product")
      .at_least(1)
      .unit("iterations");
  schema
      .add("damping", &Options::damping,
           "δ: the system solved is (I + H/(λ + δ))·v = u; large values draw v towards u")
      .at_least(0);
  schema
      .add("tolerance", &Options::tolerance,
           "stop when the residual falls below this share of ‖u‖; 0 uses all iterations")
      .at_least(0)
      .less_than(1);
  schema
      .add("form", &Options::form,
           "\"global\" is conjugate gradient on the whole system; \"layerwise\" takes step lengths "
           "for each parameter tensor by itself, a heuristic of the method's authors that does not "
           "converge to the solution in general")
      .choices({"global", "layerwise"});
  return schema;
}

/// I + H/(λ + δ), counting its products.
class Operator {
 public:
  Operator(LowerProblem& lower, double damping)
      : lower_(lower), scale_(1.0 / (lower.lambda() + damping)) {}

  TensorList operator()(const TensorList& x) {
    TensorList product = lower_.hessian_product(x);
    bissl::scale(product, scale_);
    add_scaled(product, 1.0, x);
    ++products_;
    return product;
  }

  int64_t products() const { return products_; }

 private:
  LowerProblem& lower_;
  double scale_;
  int64_t products_ = 0;
};

/// A residual that has grown to this multiple of ‖u‖ will not come back.
constexpr double divergence_limit = 1e6;

/// Conjugate gradient (Hestenes and Stiefel 1952) from v = 0, stopped at a direction of negative
/// curvature as in truncated Newton methods (Steihaug 1983): v so far is kept, or u if there is
/// none. The iterate is only replaced by a finite one.
HypergradientSolution solve_global(const TensorList& u, Operator& apply, const Options& options) {
  HypergradientSolution solution;
  solution.v = zeros_like(u);
  solution.status = SolveStatus::iteration_limit;
  const double u_squared = dot(u, u);
  const double target = options.tolerance * options.tolerance * u_squared;
  TensorList residual = copy(u);
  TensorList direction = copy(u);
  double squared = u_squared;
  while (solution.iterations < options.iterations) {
    const TensorList image = apply(direction);
    const double curvature = dot(direction, image);
    if (!std::isfinite(curvature)) {
      solution.status = SolveStatus::diverged;
      break;
    }
    if (curvature <= 0) {
      solution.status = SolveStatus::negative_curvature;
      break;
    }
    const double alpha = squared / curvature;
    add_scaled(solution.v, alpha, direction);
    add_scaled(residual, -alpha, image);
    ++solution.iterations;
    const double next = dot(residual, residual);
    if (!std::isfinite(next) || next > divergence_limit * divergence_limit * u_squared) {
      solution.status = SolveStatus::diverged;
      break;
    }
    const double beta = next / squared;
    squared = next;
    if (squared <= target) {
      solution.status = SolveStatus::converged;
      break;
    }
    scale(direction, beta);
    add_scaled(direction, 1.0, residual);
  }
  if (solution.iterations == 0) {
    solution.v = copy(u);
  } else {
    solution.relative_residual = std::sqrt(squared / u_squared);
  }
  return solution;
}

/// The authors' default: one α and β for each parameter tensor, while the operator couples them.
HypergradientSolution solve_layerwise(const TensorList& u, Operator& apply,
                                      const Options& options) {
  HypergradientSolution solution;
  solution.v = zeros_like(u);
  solution.status = SolveStatus::iteration_limit;
  const double u_norm = norm(u);
  TensorList residual = copy(u);
  TensorList direction = copy(u);
  std::vector<double> squared(u.size());
  for (size_t i = 0; i < u.size(); ++i) {
    squared[i] = dot({residual[i]}, {residual[i]});
  }
  while (solution.iterations < options.iterations) {
    const TensorList image = apply(direction);
    for (size_t i = 0; i < u.size(); ++i) {
      // A tensor whose residual has vanished stays as it is. The reference adds 1e-12 to both
      // denominators instead, which shortens the steps of tensors with small gradients.
      const bool solved = squared[i] == 0;
      const double alpha = solved ? 0.0 : squared[i] / dot({direction[i]}, {image[i]});
      solution.v[i].add_(direction[i], alpha);
      residual[i].add_(image[i], -alpha);
      const double next = dot({residual[i]}, {residual[i]});
      direction[i].mul_(solved ? 0.0 : next / squared[i]).add_(residual[i]);
      squared[i] = next;
    }
    ++solution.iterations;
    solution.relative_residual = norm(residual) / u_norm;
    if (!std::isfinite(solution.relative_residual) ||
        solution.relative_residual > divergence_limit) {
      solution.status = SolveStatus::diverged;
      break;
    }
    if (solution.relative_residual <= options.tolerance) {
      solution.status = SolveStatus::converged;
      break;
    }
  }
  return solution;
}

class ConjugateGradient : public Hypergradient {
 public:
  explicit ConjugateGradient(Options options) : options_(std::move(options)) {}

  HypergradientSolution solve(const TensorList& u, LowerProblem& lower) override {
    const c10::NoGradGuard no_grad;
    if (norm(u) == 0) {
      HypergradientSolution zero;
      zero.v = copy(u);
      zero.status = SolveStatus::converged;
      zero.relative_residual = 0;
      return zero;
    }
    Operator apply(lower, options_.damping);
    HypergradientSolution solution = options_.form == "layerwise"
                                         ? solve_layerwise(u, apply, options_)
                                         : solve_global(u, apply, options_);
    solution.hessian_products = apply.products();
    // A diverged iterate is worse than none: the first-order gradient takes its place.
    if (solution.status == SolveStatus::diverged || !all_finite(solution.v)) {
      solution.status = SolveStatus::diverged;
      solution.v = copy(u);
      solution.relative_residual = -1.0;  // the iterate's, not that of u
    }
    return solution;
  }

  HypergradientNeeds needs() const override { return {.hessian_products = options_.iterations}; }

 private:
  Options options_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("cg", "1.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient>(
      {.name = "cg",
       .summary = "conjugate gradient on (I + H/(λ + δ))·v = u with exact Hessian products",
       .source = "Zakarias et al. 2024, arXiv 2410.02387, algorithm 1; Hestenes and Stiefel 1952"},
      schema(),
      [](const Options& options,
         const HypergradientContext& /*context*/) -> std::shared_ptr<Hypergradient> {
        return std::make_shared<ConjugateGradient>(options);
      });
}
