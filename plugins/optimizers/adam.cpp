#include "components.h"
#include "options.h"

#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"
#include "bissl/optimizer_state.h"

#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

struct AdamOptions {
  MomentsOptions moments;
  DecayOptions decay;
};

struct AdamWOptions {
  MomentsOptions moments;
  DecayOptions decay{.weight_decay = 0.01};
};

Schema<AdamOptions> adam_schema() {
  Schema<AdamOptions> schema;
  schema.embed(&AdamOptions::moments, moments_schema());
  schema.embed(&AdamOptions::decay, decay_schema());
  return schema;
}

Schema<AdamWOptions> adamw_schema() {
  Schema<AdamWOptions> schema;
  schema.embed(&AdamWOptions::moments, moments_schema());
  schema.embed(&AdamWOptions::decay, decay_schema(decoupled_decay));
  return schema;
}

/// What weight decay is.
enum class Decay {
  decoupled,  ///< a share of the weights, taken away beside the step
  penalty,    ///< the gradient of an L2 penalty, which goes through the moments
};

/// Adam, in PyTorch's convention: ε is added to the root of the corrected mean square.
class Moments : public Optimizer,
                public OptimizerMomentumSetting,
                public OptimizerPreconditioner,
                public OptimizerWeightDecay {
 public:
  Moments(const MomentsOptions& options, const DecayOptions& decay, Decay kind,
          const OptimizerContext& context)
      : options_(options),
        decay_(decay),
        kind_(kind),
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
      if (!parameter.grad().defined()) {
        continue;
      }
      const at::Tensor gradient = penalised(parameter, parameter.grad());
      if (kind_ == Decay::decoupled && applies_to(parameter, decay_.decay_1d)) {
        parameter.mul_(1.0 - lr * decay_.weight_decay);
      }
      mean_[i].mul_(options_.beta1).add_(gradient, 1.0 - options_.beta1);
      mean_square_[i].mul_(options_.beta2).addcmul_(gradient, gradient, 1.0 - options_.beta2);
      const at::Tensor denominator =
          mean_square_[i].sqrt().div_(std::sqrt(correction2)).add_(options_.epsilon);
      parameter.addcdiv_(mean_[i], denominator, -lr / correction1);
    }
  }

  double momentum() const override { return options_.beta1; }
  void set_momentum(double value) override { options_.beta1 = value; }

  double learning_rate() const override { return options_.lr; }

  double weight_decay() const override { return decay_.weight_decay; }
  void set_weight_decay(double value) override { decay_.weight_decay = value; }

  void* capability(std::string_view id) override {
    return provide<OptimizerMomentumSetting, OptimizerPreconditioner, OptimizerWeightDecay>(*this,
                                                                                            id);
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
      if (!gradients[i].defined()) {
        factors.emplace_back();
        continue;
      }
      const at::Tensor g = penalised(parameters_[i].tensor, gradients[i]);
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
  /// The gradient with that of the L2 penalty, if weight decay is one.
  at::Tensor penalised(const at::Tensor& parameter, const at::Tensor& gradient) const {
    return kind_ == Decay::penalty && decay_.weight_decay != 0 &&
                   applies_to(parameter, decay_.decay_1d)
               ? gradient.add(parameter, decay_.weight_decay)
               : gradient;
  }

  MomentsOptions options_;
  DecayOptions decay_;
  Decay kind_;
  NamedTensors parameters_;
  StateBuffers mean_;
  StateBuffers mean_square_;
  int64_t steps_ = 0;
};

class Adam final : public Moments {
 public:
  Adam(const AdamOptions& options, const OptimizerContext& context)
      : Moments(options.moments, options.decay, Decay::penalty, context) {}
};

class AdamW final : public Moments {
 public:
  AdamW(const AdamWOptions& options, const OptimizerContext& context)
      : Moments(options.moments, options.decay, Decay::decoupled, context) {}
};

}  // namespace

void add_adam(Registrar& registrar) {
  registrar.add<Optimizer, Adam>(
      {.name = "adam",
       .summary = "means of gradients over roots of mean squares; weight decay as an L2 penalty",
       .source = "Kingma and Ba 2015, arXiv 1412.6980, algorithm 1"},
      adam_schema());
  registrar.add<Optimizer, AdamW>(
      {.name = "adamw",
       .summary = "Adam with decoupled weight decay",
       .source = "Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2"},
      adamw_schema());
}

}  // namespace bissl
