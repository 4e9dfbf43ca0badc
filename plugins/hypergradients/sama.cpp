#include "bissl/error.h"
#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"
#include "bissl/system_abilities.h"

#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  bool keep_norm = true;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("keep_norm", &Options::keep_norm,
             "scale v to ‖u‖: an adaptive optimizer's factors carry a scale of their own");
  return schema;
}

/// v ∝ P∘u, P the lower optimizer's derivative of a step in its gradient (Choe et al. 2023, section
/// 3.2). The solution of the lower level is a fixed point of its optimizer's steps. Differentiating
/// that point with the steps' own curvature taken as the identity leaves, of dθ_P*/dθ_D, the
/// derivative of a step in the gradient, P, times that of the gradient in θ_D, −λ·I. For plain
/// gradient descent P is one and this is `identity`.
class Sama : public Hypergradient {
 public:
  explicit Sama(Options options) : options_(options) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    auto* preconditioned = bissl::capability<SystemPreconditioner>(system);
    if (preconditioned == nullptr) {
      fail_input(
          "the lower level does not say how its optimizer scales gradients, which \"sama\" needs");
    }
    HypergradientSolution solution;
    solution.v = copy(u);
    const TensorList factors = preconditioned->preconditioner();
    for (size_t i = 0; i < u.size(); ++i) {
      solution.v[i].mul_(factors[i]);
    }
    const double length = norm(solution.v);
    if (options_.keep_norm && length > 0) {
      scale(solution.v, norm(u) / length);
    }
    replace_if_diverged(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override { return {.abilities = {SystemPreconditioner::id}}; }

 private:
  Options options_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("sama", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Sama>(
      {.name = "sama",
       .summary = "v = P·u, P being how the lower level's optimizer scales gradients; no products",
       .source = "Choe et al. 2023, arXiv 2310.05674, section 3.2"},
      schema());
}
