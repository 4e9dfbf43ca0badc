#include "components.h"
#include "norm_ratio.h"
#include "options.h"

#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"
#include "bissl/optimizer_state.h"

#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

struct Options {
  MomentsOptions moments{.epsilon = 1e-6};
  DecayOptions decay{.weight_decay = 0.01, .decay_1d = false};
  bool scale_1d = false;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.embed(&Options::moments, moments_schema());
  schema.embed(&Options::decay,
               decay_schema("share of the weights added to the step before it is scaled"));
  schema.add(
      "scale_1d", &Options::scale_1d,
      "whether biases and normalisations (one-dimensional parameters) are scaled layer-wise");
  return schema;
}

/// Adam's step r for each tensor, scaled to the length of the weights: with u = r + wd·θ,
/// θ ← θ − lr·q·u, q = ‖θ‖/‖u‖; q is 1 where either norm is 0 and for tensors without scaling.
class Lamb : public Optimizer,
             public OptimizerMomentumSetting,
             public OptimizerPreconditioner,
             public OptimizerWeightDecay {
 public:
  Lamb(const Options& options, const OptimizerContext& context)
      : options_(options),
        parameters_(context.parameters),
        mean_("mean", context.parameters),
        mean_square_("mean_square", context.parameters) {}

  void step(double lr_scale) override {
    const c10::NoGradGuard no_grad;
    ++steps_;
    const double lr = options_.moments.lr * lr_scale;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor& parameter = parameters_[i].tensor;
      const at::Tensor& gradient = parameter.grad();
      if (!gradient.defined()) {
        continue;
      }
      const double beta1 = options_.moments.beta1;
      const double beta2 = options_.moments.beta2;
      mean_[i].mul_(beta1).add_(gradient, 1.0 - beta1);
      mean_square_[i].mul_(beta2).addcmul_(gradient, gradient, 1.0 - beta2);
      const at::Tensor update = direction(parameter, corrected(mean_[i], beta1, steps_),
                                          corrected(mean_square_[i], beta2, steps_).sqrt_());
      if (!parameter.is_cpu() && applies_to(parameter, options_.scale_1d)) {
        parameter.addcmul_(update, norm_ratio(parameter, update, 1.0), -lr);
      } else {
        parameter.add_(update, -lr * scaling(parameter, update));
      }
    }
  }

  double momentum() const override { return options_.moments.beta1; }
  void set_momentum(double value) override { options_.moments.beta1 = value; }

  double learning_rate() const override { return options_.moments.lr; }
  double weight_decay() const override { return options_.decay.weight_decay; }
  void set_weight_decay(double value) override { options_.decay.weight_decay = value; }

  void* capability(std::string_view id) override {
    return provide<OptimizerMomentumSetting, OptimizerPreconditioner, OptimizerWeightDecay>(*this,
                                                                                            id);
  }

  /// Adam's (adam.cpp) times the layer's ratio, which is taken as a constant.
  TensorList preconditioner(const TensorList& gradients) const override {
    const c10::NoGradGuard no_grad;
    const double beta1 = options_.moments.beta1;
    const double beta2 = options_.moments.beta2;
    TensorList factors;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const at::Tensor& g = gradients[i];
      if (!g.defined()) {
        factors.emplace_back();
        continue;
      }
      const at::Tensor& parameter = parameters_[i].tensor;
      const at::Tensor mean =
          corrected(mean_[i].mul(beta1).add_(g, 1.0 - beta1), beta1, steps_ + 1);
      const at::Tensor root =
          corrected(mean_square_[i].mul(beta2).addcmul_(g, g, 1.0 - beta2), beta2, steps_ + 1)
              .sqrt_();
      const at::Tensor denominator = root.add(options_.moments.epsilon);
      const at::Tensor through_mean =
          denominator.reciprocal().mul_((1.0 - beta1) / correction(beta1, steps_ + 1));
      const at::Tensor through_root = mean.mul(g)
                                          .mul_((1.0 - beta2) / correction(beta2, steps_ + 1))
                                          .div_(root)
                                          .div_(denominator.square());
      factors.push_back(through_mean.sub(through_root)
                            .masked_fill_(root.eq(0), 0)
                            .mul_(scaling(parameter, direction(parameter, mean, root))));
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
  static double correction(double beta, int64_t steps) {
    return 1.0 - std::pow(beta, static_cast<double>(steps));
  }
  static at::Tensor corrected(const at::Tensor& moment, double beta, int64_t steps) {
    return moment.div(correction(beta, steps));
  }

  /// u, from the corrected mean and the root of the corrected mean square.
  at::Tensor direction(const at::Tensor& parameter, const at::Tensor& mean,
                       const at::Tensor& root) const {
    const at::Tensor step = mean.div(root.add(options_.moments.epsilon));
    return applies_to(parameter, options_.decay.decay_1d)
               ? step.add(parameter, options_.decay.weight_decay)
               : step;
  }

  double scaling(const at::Tensor& parameter, const at::Tensor& update) const {
    if (!applies_to(parameter, options_.scale_1d)) {
      return 1.0;
    }
    const double parameter_norm = parameter.norm().item<double>();
    const double update_norm = update.norm().item<double>();
    return parameter_norm > 0 && update_norm > 0 ? parameter_norm / update_norm : 1.0;
  }

  Options options_;
  NamedTensors parameters_;
  StateBuffers mean_;
  StateBuffers mean_square_;
  int64_t steps_ = 0;
};

}  // namespace

void add_lamb(Registrar& registrar) {
  registrar.add<Optimizer, Lamb>(
      {.name = "lamb",
       .summary = "Adam with a rate for each layer, for large batches",
       .source = "You et al. 2020, arXiv 1904.00962, algorithm 2, with the identity for φ"},
      schema());
}

}  // namespace bissl
