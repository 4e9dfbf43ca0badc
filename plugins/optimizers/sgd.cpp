#include "components.h"
#include "options.h"

#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"
#include "bissl/optimizer_state.h"

#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  MomentumOptions step;
  bool nesterov = false;
  DecayOptions decay;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.embed(&Options::step, momentum_schema());
  schema.add("nesterov", &Options::nesterov, "look one step of the momentum ahead");
  schema.embed(&Options::decay, decay_schema());
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    if (options.nesterov && options.step.momentum == 0) {
      findings.push_back({Finding::Severity::error, "nesterov", "needs a momentum of more than 0"});
    }
  });
  return schema;
}

/// Stochastic gradient descent with momentum, in PyTorch's convention: m ← µ·m + g, θ ← θ − lr·m.
class Sgd : public Optimizer,
            public OptimizerMomentum,
            public OptimizerMomentumSetting,
            public OptimizerWeightDecay {
 public:
  Sgd(const Options& options, const OptimizerContext& context)
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
      at::Tensor gradient = parameter.grad();
      if (options_.decay.weight_decay != 0 && applies_to(parameter, options_.decay.decay_1d)) {
        gradient = gradient.add(parameter, options_.decay.weight_decay);
      }
      at::Tensor& momentum = momentum_[i];
      momentum.mul_(options_.step.momentum).add_(gradient);
      parameter.add_(options_.nesterov ? gradient.add(momentum, options_.step.momentum) : momentum,
                     -lr);
    }
  }

  double learning_rate() const override { return options_.step.lr; }
  double momentum() const override { return options_.step.momentum; }
  void set_momentum(double value) override { options_.step.momentum = value; }

  double weight_decay() const override { return options_.decay.weight_decay; }
  void set_weight_decay(double value) override { options_.decay.weight_decay = value; }

  void* capability(std::string_view id) override {
    return provide<OptimizerMomentum, OptimizerMomentumSetting, OptimizerWeightDecay>(*this, id);
  }

  NamedTensors state() const override {
    NamedTensors state;
    momentum_.save(state);
    return state;
  }

  void load_state(const NamedTensors& state) override { momentum_.load(state); }

 private:
  Options options_;
  NamedTensors parameters_;
  StateBuffers momentum_;
};

}  // namespace

void add_sgd(Registrar& registrar) {
  registrar.add<Optimizer, Sgd>({.name = "sgd",
                                 .summary = "stochastic gradient descent with momentum",
                                 .source = "Sutskever et al. 2013, in PyTorch's convention"},
                                schema());
}

}  // namespace bissl
