#include "components.h"
#include "options.h"

#include "bissl/optimizer.h"
#include "bissl/optimizer_state.h"

#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

struct Options {
  double lr = 0.001;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  DecayOptions decay{.weight_decay = 0.01};
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("lr", &Options::lr, "learning rate").required().at_least(0);
  schema.add("beta1", &Options::beta1, "decay of the mean of gradients").at_least(0).less_than(1);
  schema.add("beta2", &Options::beta2, "decay of the mean of squared gradients")
      .at_least(0)
      .less_than(1);
  schema.add("epsilon", &Options::epsilon, "added to the root of the mean square").more_than(0);
  schema.embed(&Options::decay, decay_schema("share of the weights, times the learning rate, taken "
                                             "away in each step"));
  return schema;
}

/// Adam with decoupled weight decay.
class AdamW : public Optimizer, public OptimizerPreconditioner {
 public:
  AdamW(const Options& options, const OptimizerContext& context)
      : options_(options),
        parameters_(context.parameters),
        mean_("mean", context.parameters),
        mean_square_("mean_square", context.parameters) {}

  void step(double lr_scale) override {
    const c10::NoGradGuard no_grad;
    ++steps_;
    const double lr = options_.lr * lr_scale;
    const auto steps = static_cast<double>(steps_);
    const double correction1 = 1.0 - std::pow(options_.beta1, steps);
    const double correction2 = 1.0 - std::pow(options_.beta2, steps);
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor& parameter = parameters_[i].tensor;
      const at::Tensor& gradient = parameter.grad();
      if (!gradient.defined()) {
        continue;
      }
      if (applies_to(parameter, options_.decay.decay_1d)) {
        parameter.mul_(1.0 - lr * options_.decay.weight_decay);
      }
      mean_[i].mul_(options_.beta1).add_(gradient, 1.0 - options_.beta1);
      mean_square_[i].mul_(options_.beta2).addcmul_(gradient, gradient, 1.0 - options_.beta2);
      const at::Tensor denominator =
          mean_square_[i].sqrt().div_(std::sqrt(correction2)).add_(options_.epsilon);
      parameter.addcdiv_(mean_[i], denominator, -lr / correction1);
    }
  }

  double learning_rate() const override { return options_.lr; }

  void* capability(std::string_view id) override {
    return provide<OptimizerPreconditioner>(*this, id);
  }

  /// With m' = β₁·m + (1 − β₁)·g, v' = β₂·v + (1 − β₂)·g², both corrected for their bias, and
  /// s = √v̂', the derivative of m̂'/(s + ε) in g is
  ///   (1 − β₁)/c₁/(s + ε) − m̂'·(1 − β₂)·g/(c₂·s·(s + ε)²)
  /// (Choe et al. 2023, arXiv 2310.05674, appendix on Adam). Where v' is 0 it counts as 0.
  TensorList preconditioner(const TensorList& gradients) const override {
    const c10::NoGradGuard no_grad;
    const auto steps = static_cast<double>(steps_ + 1);
    const double correction1 = 1.0 - std::pow(options_.beta1, steps);
    const double correction2 = 1.0 - std::pow(options_.beta2, steps);
    TensorList factors;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const at::Tensor& g = gradients[i];
      if (!g.defined()) {
        factors.emplace_back();
        continue;
      }
      const at::Tensor mean =
          mean_[i].mul(options_.beta1).add_(g, 1.0 - options_.beta1).div_(correction1);
      const at::Tensor root = mean_square_[i]
                                  .mul(options_.beta2)
                                  .addcmul_(g, g, 1.0 - options_.beta2)
                                  .div_(correction2)
                                  .sqrt_();
      const at::Tensor denominator = root.add(options_.epsilon);
      const at::Tensor through_mean =
          denominator.reciprocal().mul_((1.0 - options_.beta1) / correction1);
      const at::Tensor through_root = mean.mul(g)
                                          .mul_((1.0 - options_.beta2) / correction2)
                                          .div_(root)
                                          .div_(denominator.square());
      factors.push_back(through_mean.sub(through_root).masked_fill_(root.eq(0), 0));
    }
    return factors;
  }

  NamedTensors state() const override {
    NamedTensors state{{"steps", at::tensor(steps_)}};
    mean_.save(state);
    mean_square_.save(state);
    return state;
  }

  void load_state(const NamedTensors& state) override {
    const auto steps = find_state(state, "steps", at::tensor(steps_)).item<int64_t>();
    mean_square_.check(state);
    mean_.load(state);
    mean_square_.load(state);
    steps_ = steps;
  }

 private:
  Options options_;
  NamedTensors parameters_;
  StateBuffers mean_;
  StateBuffers mean_square_;
  int64_t steps_ = 0;
};

}  // namespace

void add_adamw(Registrar& registrar) {
  registrar.add<Optimizer, AdamW>(
      {.name = "adamw",
       .summary = "Adam with decoupled weight decay",
       .source = "Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2"},
      schema());
}

}  // namespace bissl
