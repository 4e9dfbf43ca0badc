#include "first_look.h"

#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"
#include "bissl/random.h"

#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

struct Options {
  SystemOptions system;
  int64_t iterations = 5;
  double tolerance = 0.0;
  int64_t ask_every = 1;
  std::string form = "global";
  double guard = 0;
  bool warm_start = false;
  std::string preconditioner = "none";
  int64_t probes = 5;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("iterations", &Options::iterations,
           "most steps of conjugate gradient; each makes one Hessian product")
      .at_least(1)
      .unit("iterations");
  schema
      .add("tolerance", &Options::tolerance,
           "stop when the residual falls below this share of ‖u‖, after the first product where "
           "v = u is that near; 0 uses all iterations")
      .at_least(0)
      .less_than(1);
  schema
      .add("ask_every", &Options::ask_every,
           "once v = u is within the tolerance, take it without a product until this many upper "
           "steps later; 1 asks at each")
      .at_least(1)
      .unit("upper steps")
      .only_above("tolerance", 0)
      .only_with("form", "global")
      .only_with("warm_start", false)
      .only_with("preconditioner", "none");
  schema
      .add("form", &Options::form,
           "\"global\" is conjugate gradient on the whole system; \"layerwise\" takes step lengths "
           "for each parameter tensor by itself, a heuristic of the method's authors that does not "
           "converge to the solution in general")
      .choices({"global", "layerwise"});
  schema
      .add("guard", &Options::guard,
           "added to the denominators of both step lengths, as the authors' code adds 1e-12: it "
           "shortens the steps of tensors with small gradients; 0: nothing is added")
      .at_least(0)
      .only_with("form", "layerwise");
  schema
      .add("warm_start", &Options::warm_start,
           "begin at the last upper step's solution, for one product more")
      .only_with("form", "global");
  schema
      .add("preconditioner", &Options::preconditioner,
           "\"diagonal\" estimates the diagonal of H from products with random signs, once a round")
      .choices({"none", "diagonal"})
      .only_with("form", "global");
  schema.add("probes", &Options::probes, "products for the estimate of the diagonal")
      .at_least(1)
      .unit("products")
      .only_with("preconditioner", "diagonal");
  schema.embed(&Options::system, system_schema());
  return schema;
}

/// The elements of a diagonal matrix times those of `x`; an empty matrix is the identity.
TensorList times(const TensorList& diagonal, const TensorList& x) {
  TensorList result = copy(x);
  for (size_t i = 0; i < diagonal.size(); ++i) {
    result[i].mul_(diagonal[i]);
  }
  return result;
}

/// The inverse of the diagonal of A = I + H/(λ + δ). That of H is the mean of z∘H·z over vectors of
/// random signs (Hutchinson 1990; Bekas, Kokiopoulou and Saad 2007). The signs are the same in
/// every round, so an interrupted round finds the same diagonal again. A preconditioner must be
/// positive: elements are kept from getting small, and taken by their size.
TensorList inverse_diagonal(const TensorList& like, LinearSystem& apply, int64_t probes) {
  TensorList mean = zeros_like(like);
  for (int64_t probe = 0; probe < probes; ++probe) {
    TensorList signs = zeros_like(like);
    RandomStream stream(0, "cg/probes", static_cast<uint64_t>(probe));
    for (at::Tensor& tensor : signs) {
      std::vector<float> values(static_cast<size_t>(tensor.numel()));
      for (float& value : values) {
        value = stream.chance(0.5) ? 1.0F : -1.0F;
      }
      tensor.copy_(at::from_blob(values.data(), tensor.sizes(), at::kFloat));
    }
    add_scaled(mean, 1.0 / static_cast<double>(probes), times(signs, apply.hessian_product(signs)));
  }
  constexpr double smallest = 0.1;
  for (at::Tensor& tensor : mean) {
    tensor.div_(apply.weight()).add_(1.0).abs_().clamp_min_(smallest).reciprocal_();
  }
  return mean;
}

/// Where a solve begins.
struct Start {
  TensorList v;         ///< empty: at zero
  TensorList diagonal;  ///< the inverse preconditioner; empty: none

  /// Whether the first direction is u.
  bool is_plain() const { return v.empty() && diagonal.empty(); }
};

/// Preconditioned conjugate gradient (Hestenes and Stiefel 1952), stopped at a direction of
/// negative curvature as in truncated Newton methods (Steihaug 1983): v so far is kept, or u if
/// there is none, or only a start that is worse than v = 0: it would stay for as long as first
/// directions have such curvature. The iterate is only replaced by a finite one. Where the first
/// direction is u itself, its product tells whether v = u is within the tolerance, which then is
/// the solution.
HypergradientSolution solve_global(const TensorList& u, FirstLook& apply, const Options& options,
                                   const Start& start) {
  HypergradientSolution solution;
  solution.status = SolveStatus::iteration_limit;
  const double u_squared = dot(u, u);
  const double target = options.tolerance * options.tolerance * u_squared;
  TensorList residual = copy(u);
  if (start.v.empty()) {
    solution.v = zeros_like(u);
  } else {
    solution.v = copy(start.v);
    add_scaled(residual, -1.0, apply(solution.v));
  }
  double length = dot(residual, residual);  // ‖r‖²
  TensorList direction = times(start.diagonal, residual);
  double squared = dot(residual, direction);  // rᵀM⁻¹r
  if (!start.v.empty() && length <= target) {
    solution.status = SolveStatus::converged;
    solution.relative_residual = std::sqrt(length / u_squared);
    return solution;
  }
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
    ++solution.iterations;
    if (solution.iterations == 1 && start.is_plain() && apply.accepts_u()) {
      solution.status = SolveStatus::converged;
      solution.v = copy(u);
      solution.relative_residual = apply.residual_of_u();
      return solution;
    }
    const double alpha = squared / curvature;
    add_scaled(solution.v, alpha, direction);
    add_scaled(residual, -alpha, image);
    length = dot(residual, residual);
    if (!std::isfinite(length) || length > divergence_limit * divergence_limit * u_squared) {
      solution.status = SolveStatus::diverged;
      break;
    }
    if (length <= target) {
      solution.status = SolveStatus::converged;
      break;
    }
    const TensorList scaled = times(start.diagonal, residual);
    const double next = dot(residual, scaled);
    scale(direction, next / squared);
    add_scaled(direction, 1.0, scaled);
    squared = next;
  }
  if (solution.iterations == 0 && (start.v.empty() || length > u_squared)) {
    solution.v = copy(u);
  } else {
    solution.relative_residual = std::sqrt(length / u_squared);
  }
  return solution;
}

/// The authors' default: one α and β for each parameter tensor, while the operator couples them.
HypergradientSolution solve_layerwise(const TensorList& u, LinearSystem& apply,
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
      // denominators instead (`guard`).
      const bool solved = squared[i] == 0;
      const double alpha =
          solved ? 0.0 : squared[i] / (dot({direction[i]}, {image[i]}) + options.guard);
      solution.v[i].add_(direction[i], alpha);
      residual[i].add_(image[i], -alpha);
      const double next = dot({residual[i]}, {residual[i]});
      direction[i].mul_(solved ? 0.0 : next / (squared[i] + options.guard)).add_(residual[i]);
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

class ConjugateGradient : public Hypergradient, public HypergradientState {
 public:
  explicit ConjugateGradient(Options options)
      : options_(std::move(options)), pause_(options_.ask_every) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    LinearSystem apply(system, options_.system);
    if (norm(u) == 0) {
      return apply.zero_solution(u);
    }
    if (pause_.skips()) {
      return Pause::skipped(u, options_.system.damping);
    }
    HypergradientSolution solution;
    if (options_.form == "layerwise") {
      solution = solve_layerwise(u, apply, options_);
    } else {
      Start start;
      if (options_.warm_start) {
        start.v = warm_start_.begin(u);
      }
      if (options_.preconditioner == "diagonal") {
        if (system_ != system.id()) {
          diagonal_ = inverse_diagonal(u, apply, options_.probes);
          system_ = system.id();
        }
        start.diagonal = diagonal_;
      }
      FirstLook look(apply, options_.tolerance);
      solution = solve_global(u, look, options_, start);
      pause_.note(start.is_plain() && look.accepts_u());
    }
    apply.finish(solution, u);
    if (options_.warm_start) {
      warm_start_.keep(solution.v);
    }
    return solution;
  }

  HypergradientNeeds needs() const override {
    return options_.system.needs(options_.iterations + (options_.warm_start ? 1 : 0),
                                 options_.preconditioner == "none" ? 0 : options_.probes);
  }

  void* capability(std::string_view id) override { return provide<HypergradientState>(*this, id); }
  NamedTensors state() const override {
    NamedTensors state = warm_start_.state();
    for (const NamedTensor& entry : pause_.state()) {
      state.push_back(entry);
    }
    return state;
  }
  void load_state(const NamedTensors& state) override {
    warm_start_.load_state(pause_.load(state));
  }

 private:
  Options options_;
  WarmStart warm_start_;
  Pause pause_;
  TensorList diagonal_;
  uint64_t system_ = 0;  ///< that the diagonal belongs to
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("cg", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, ConjugateGradient>(
      {.name = "cg",
       .summary = "conjugate gradient on (I + H/(λ + δ))·v = u with Hessian products",
       .source = "Zakarias et al. 2024, arXiv 2410.02387, algorithm 1; Hestenes and Stiefel 1952"},
      schema());
}
