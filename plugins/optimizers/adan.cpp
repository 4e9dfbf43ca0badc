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

struct Options {
  double lr = 0.001;
  double beta1 = 0.98;
  double beta2 = 0.92;
  double beta3 = 0.99;
  double epsilon = 1e-8;
  DecayOptions decay{.weight_decay = 0.02};
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("lr", &Options::lr, "learning rate").required().at_least(0);
  schema.add("beta1", &Options::beta1, "decay of the mean of gradients").at_least(0).less_than(1);
  schema.add("beta2", &Options::beta2, "decay of the mean of differences of gradients")
      .at_least(0)
      .less_than(1);
  schema.add("beta3", &Options::beta3, "decay of the mean of squares").at_least(0).less_than(1);
  schema.add("epsilon", &Options::epsilon, "added to the root of the mean square").more_than(0);
  schema.embed(&Options::decay,
               decay_schema("the weights are divided by 1 + weight_decay times the learning rate"));
  return schema;
}

/// Nesterov's momentum, estimated from differences of gradients: with d = g − g₋₁ and
/// m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·d, n ← β₃·n + (1 − β₃)·(g + β₂·d)²,
///   θ ← (θ − lr·(m̂ + β₂·v̂)/(√n̂ + ε))/(1 + lr·wd)
/// where m̂, v̂ and n̂ are corrected for their bias. d is 0 in the first step.
class Adan : public Optimizer,
             public OptimizerMomentumSetting,
             public OptimizerPreconditioner,
             public OptimizerWeightDecay {
 public:
  Adan(const Options& options, const OptimizerContext& context)
      : options_(options),
        parameters_(context.parameters),
        mean_("mean", context.parameters),
        difference_("difference", context.parameters),
        mean_square_("mean_square", context.parameters),
        last_("last", context.parameters) {}

  void step(double lr_scale) override {
    const c10::NoGradGuard no_grad;
    const Corrections corrections = this->corrections();
    const double lr = options_.lr * lr_scale;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor& parameter = parameters_[i].tensor;
      const at::Tensor& gradient = parameter.grad();
      if (!gradient.defined()) {
        continue;
      }
      const Moments moments = after(i, gradient);
      const at::Tensor step = moments.mean.div(corrections.mean)
                                  .add_(moments.difference, options_.beta2 / corrections.difference)
                                  .div_(denominator(moments, corrections));
      parameter.add_(step, -lr);
      if (applies_to(parameter, options_.decay.decay_1d)) {
        parameter.div_(1.0 + lr * options_.decay.weight_decay);
      }
      mean_[i].copy_(moments.mean);
      difference_[i].copy_(moments.difference);
      mean_square_[i].copy_(moments.mean_square);
      last_[i].copy_(gradient);
    }
    ++steps_;
  }

  double momentum() const override { return options_.beta1; }
  void set_momentum(double value) override { options_.beta1 = value; }

  double learning_rate() const override { return options_.lr; }
  double weight_decay() const override { return options_.decay.weight_decay; }
  void set_weight_decay(double value) override { options_.decay.weight_decay = value; }

  void* capability(std::string_view id) override {
    return provide<OptimizerMomentumSetting, OptimizerPreconditioner, OptimizerWeightDecay>(*this,
                                                                                            id);
  }

  /// The derivative in g of (m̂ + β₂·v̂)/D with D = s + ε, s = √n̂ and w = g + β₂·d: with k = 1, and
  /// k = 0 in the first step, whose d is 0,
  ///   ((1 − β₁)/c₁ + k·β₂·(1 − β₂)/c₂)/D − (m̂ + β₂·v̂)·(1 − β₃)·(1 + k·β₂)·w/(c₃·s·D²)
  /// Where s is 0 it counts as 0; the division by 1 + lr·wd is left out.
  TensorList preconditioner(const TensorList& gradients) const override {
    const c10::NoGradGuard no_grad;
    const Corrections corrections = this->corrections();
    const double moves = steps_ == 0 ? 0.0 : options_.beta2;
    TensorList factors;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const at::Tensor& g = gradients[i];
      if (!g.defined()) {
        factors.emplace_back();
        continue;
      }
      const Moments moments = after(i, g);
      const at::Tensor whole =
          moments.mean.div(corrections.mean)
              .add_(moments.difference, options_.beta2 / corrections.difference);
      const at::Tensor below = denominator(moments, corrections);
      const at::Tensor root = below.sub(options_.epsilon);
      const at::Tensor through_mean =
          below.reciprocal().mul_((1.0 - options_.beta1) / corrections.mean +
                                  moves * (1.0 - options_.beta2) / corrections.difference);
      const at::Tensor through_root =
          whole.mul_(moments.looked_ahead)
              .mul_((1.0 - options_.beta3) * (1.0 + moves) / corrections.square)
              .div_(root)
              .div_(below.square());
      factors.push_back(through_mean.sub(through_root).masked_fill_(moments.mean_square.eq(0), 0));
    }
    return factors;
  }

  NamedTensors state() const override {
    NamedTensors state{{"steps", at::tensor(steps_)}};
    for (const StateBuffers* buffers : {&mean_, &difference_, &mean_square_, &last_}) {
      buffers->save(state);
    }
    return state;
  }

  void load_state(const NamedTensors& state) override {
    const auto steps = find_state(state, "steps", at::tensor(steps_)).item<int64_t>();
    for (const StateBuffers* buffers : {&mean_, &difference_, &mean_square_, &last_}) {
      buffers->check(state);
    }
    for (StateBuffers* buffers : {&mean_, &difference_, &mean_square_, &last_}) {
      buffers->load(state);
    }
    steps_ = steps;
  }

 private:
  struct Moments {
    at::Tensor mean;
    at::Tensor difference;
    at::Tensor mean_square;
    at::Tensor looked_ahead;  ///< g + β₂·d
  };
  struct Corrections {
    double mean;
    double difference;
    double square;
  };

  /// 1 − βᵗ for the next step t.
  Corrections corrections() const {
    const auto steps = static_cast<double>(steps_ + 1);
    const auto of = [steps](double beta) { return 1.0 - std::pow(beta, steps); };
    return {of(options_.beta1), of(options_.beta2), of(options_.beta3)};
  }

  /// The moments of parameter number `i` after a step with this gradient.
  Moments after(size_t i, const at::Tensor& gradient) const {
    const at::Tensor change = steps_ == 0 ? gradient.mul(0) : gradient.sub(last_[i]);
    const at::Tensor ahead = gradient.add(change, options_.beta2);
    return {mean_[i].mul(options_.beta1).add_(gradient, 1.0 - options_.beta1),
            difference_[i].mul(options_.beta2).add_(change, 1.0 - options_.beta2),
            mean_square_[i].mul(options_.beta3).addcmul_(ahead, ahead, 1.0 - options_.beta3),
            ahead};
  }

  at::Tensor denominator(const Moments& moments, const Corrections& corrections) const {
    return moments.mean_square.div(corrections.square).sqrt_().add_(options_.epsilon);
  }

  Options options_;
  NamedTensors parameters_;
  StateBuffers mean_;
  StateBuffers difference_;
  StateBuffers mean_square_;
  StateBuffers last_;  ///< the gradient of the step before
  int64_t steps_ = 0;
};

}  // namespace

void add_adan(Registrar& registrar) {
  registrar.add<Optimizer, Adan>(
      {.name = "adan",
       .summary = "Adam with a momentum that looks ahead by differences of gradients",
       .source = "Xie et al. 2022, arXiv 2208.06677, algorithm 1; moments start at 0 and are "
                 "corrected for it, as in the published code"},
      schema());
}

}  // namespace bissl
