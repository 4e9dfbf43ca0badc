#include "bissl/error.h"
#include "bissl/hypergradient.h"
#include "bissl/linear_system.h"
#include "bissl/plugin.h"
#include "bissl/system_abilities.h"

#include <c10/core/GradMode.h>

#include <algorithm>

namespace bissl {
namespace {

struct Options {
  ProductOptions product;
  int64_t steps = 5;
  bool keep_norm = true;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("steps", &Options::steps,
           "lower steps of the round that are differentiated through; one product for each but the "
           "first, and each product builds a graph. The host keeps their weights")
      .at_least(1)
      .unit("steps");
  schema.add("keep_norm", &Options::keep_norm,
             "scale v so that without curvature it had the norm of u, as the other approximators "
             "have; few steps of a small λ let little of θ_D through");
  schema.embed(&Options::product, product_schema());
  return schema;
}

/// v = (dθ_K/dθ_D)ᵀ·u through the last k of the steps that led to θ_P = θ_K, in reverse mode
/// (Franceschi et al. 2017, equations 10 to 15; truncated to k steps: Shaban et al. 2019, equation
/// 4). With a the adjoint of θ, b that of the momentum and c that of the gradient, a step backwards
/// is
///
///     b ← b − lr·a,   c = P∘b,   v ← v − λ·c,   a ← a + H_t·c + λ·c,   b ← µ·b
///
/// where H_t is the Hessian at that step's weights on that step's batch. Preconditioners are taken
/// as constants.
class Unrolled : public Hypergradient {
 public:
  explicit Unrolled(Options options) : options_(std::move(options)) {}

  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    auto* recorded = bissl::capability<RecordedSteps>(system);
    const std::vector<LowerStep> steps =
        recorded == nullptr ? std::vector<LowerStep>{} : recorded->recorded_steps();
    if (steps.empty()) {
      fail_input(
          "the lower level has no recorded steps to go through; \"unrolled\" works where the "
          "lower level has just been trained");
    }
    HessianProducts product(options_.product);
    HypergradientSolution solution;
    solution.v = go_back(u, steps, system.weight(), &product);
    solution.iterations = static_cast<int64_t>(std::min(steps.size(), size_t(options_.steps)));
    product.count_into(solution);
    if (options_.keep_norm) {
      const double plain = norm(go_back(u, steps, system.weight(), nullptr));
      if (plain > 0) {
        scale(solution.v, norm(u) / plain);
      }
    }
    replace_if_diverged(solution, u);
    return solution;
  }

  HypergradientNeeds needs() const override {
    const int64_t products = options_.steps - 1;
    const int64_t each = options_.product.gradients_each();
    HypergradientNeeds needs{.lower_steps = options_.steps, .abilities = {RecordedSteps::id}};
    if (each == 0) {
      needs.steps.products = products;
    } else {
      needs.steps.gradients = 2 * products;  // of a forward difference the unshifted one too
    }
    return needs;
  }

 private:
  /// Without `product` the Hessians are taken as zero.
  TensorList go_back(const TensorList& u, const std::vector<LowerStep>& steps, double lambda,
                     HessianProducts* product) const {
    TensorList v = zeros_like(u);
    TensorList theta = copy(u);
    TensorList momentum = zeros_like(u);
    const size_t count = std::min(steps.size(), static_cast<size_t>(options_.steps));
    for (size_t back = 1; back <= count; ++back) {
      const LowerStep& step = steps[steps.size() - back];
      add_scaled(momentum, -step.learning_rate, theta);
      TensorList gradient = copy(momentum);
      for (size_t i = 0; i < step.preconditioner.size(); ++i) {
        gradient[i].mul_(step.preconditioner[i]);
      }
      add_scaled(v, -lambda, gradient);
      if (back == count) {
        break;
      }
      if (product != nullptr) {
        add_scaled(theta, 1.0, (*product)(*step.system, gradient));
      }
      add_scaled(theta, lambda, gradient);
      scale(momentum, step.momentum);
    }
    return v;
  }

  Options options_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("unrolled", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Hypergradient, Unrolled>(
      {.name = "unrolled",
       .summary = "reverse-mode differentiation through the last steps of the lower level",
       .source = "Franceschi et al. 2017, arXiv 1703.01785, section 3.1; truncated: Shaban et al. "
                 "2019, arXiv 1810.10667"},
      schema());
}
