#include "components.h"
#include "norm_ratio.h"
#include "options.h"

#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"
#include "bissl/optimizer_state.h"

#include <ATen/ops/full_like.h>
#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  MomentumOptions step;
  DecayOptions decay{.decay_1d = false};
  double trust = 0.001;
  bool scale_1d = false;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.embed(&Options::step, momentum_schema());
  schema.embed(&Options::decay, decay_schema());
  schema.add("trust", &Options::trust, "trust coefficient of the layer-wise scaling").more_than(0);
  schema.add(
      "scale_1d", &Options::scale_1d,
      "whether biases and normalisations (one-dimensional parameters) are scaled layer-wise");
  return schema;
}

/// Layer-wise adaptive rate scaling: with g ← ∇ + wd·θ and q = trust·‖θ‖/‖g‖ for each tensor,
/// m ← µ·m + q·g, θ ← θ − lr·m. q is 1 where either norm is 0 and for tensors without scaling.
class Lars : public Optimizer,
             public OptimizerMomentum,
             public OptimizerMomentumSetting,
             public OptimizerPreconditioner,
             public OptimizerWeightDecay {
 public:
  Lars(const Options& options, const OptimizerContext& context)
      : options_(options),
        parameters_(context.parameters),
        momentum_("momentum", context.parameters) {}

  void step(double lr_scale) override {
    const c10::NoGradGuard no_grad;
    const double lr = options_.step.lr * lr_scale;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor& parameter = parameters_[i].tensor;
      if (!parameter.grad().defined()) {
        continue;
      }
      const at::Tensor gradient = decayed(parameter, parameter.grad());
      at::Tensor& momentum = momentum_[i];
      momentum.mul_(options_.step.momentum);
      if (!parameter.is_cpu() && applies_to(parameter, options_.scale_1d)) {
        momentum.addcmul_(gradient, norm_ratio(parameter, gradient, options_.trust));
      } else {
        momentum.add_(gradient, scaling(parameter, gradient));
      }
      parameter.add_(momentum, -lr);
    }
  }

  double learning_rate() const override { return options_.step.lr; }
  double momentum() const override { return options_.step.momentum; }
  void set_momentum(double value) override { options_.step.momentum = value; }

  double weight_decay() const override { return options_.decay.weight_decay; }
  void set_weight_decay(double value) override { options_.decay.weight_decay = value; }

  void* capability(std::string_view id) override {
    return provide<OptimizerMomentum, OptimizerMomentumSetting, OptimizerPreconditioner,
                   OptimizerWeightDecay>(*this, id);
  }

  /// The layers' ratios, taken as constants; the momentum's memory is left out.
  TensorList preconditioner(const TensorList& gradients) const override {
    const c10::NoGradGuard no_grad;
    TensorList factors;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      factors.push_back(
          gradients[i].defined()
              ? at::full_like(gradients[i], ratio(parameters_[i].tensor, gradients[i]))
              : at::Tensor());
    }
    return factors;
  }

  NamedTensors state() const override {
    NamedTensors state;
    momentum_.save(state);
    return state;
  }

  void load_state(const NamedTensors& state) override { momentum_.load(state); }

 private:
  /// The gradient with that of the L2 penalty.
  at::Tensor decayed(const at::Tensor& parameter, const at::Tensor& gradient) const {
    return options_.decay.weight_decay != 0 && applies_to(parameter, options_.decay.decay_1d)
               ? gradient.add(parameter, options_.decay.weight_decay)
               : gradient;
  }

  double ratio(const at::Tensor& parameter, const at::Tensor& gradient) const {
    return scaling(parameter, decayed(parameter, gradient));
  }

  double scaling(const at::Tensor& parameter, const at::Tensor& gradient) const {
    if (!applies_to(parameter, options_.scale_1d)) {
      return 1.0;
    }
    const double parameter_norm = parameter.norm().item<double>();
    const double gradient_norm = gradient.norm().item<double>();
    return parameter_norm > 0 && gradient_norm > 0 ? options_.trust * parameter_norm / gradient_norm
                                                   : 1.0;
  }

  Options options_;
  NamedTensors parameters_;
  StateBuffers momentum_;
};

}  // namespace

void add_lars(Registrar& registrar) {
  registrar.add<Optimizer, Lars>(
      {.name = "lars",
       .summary = "momentum with a rate for each layer, for large batches",
       .source =
           "You et al. 2017, arXiv 1708.03888; the trust ratio is taken over gradient plus decay"},
      schema());
}

}  // namespace bissl
