#include "bissl/optimizer.h"
#include "bissl/optimizer_state.h"
#include "optimizers.h"

#include <c10/core/GradMode.h>

namespace bissl::optimizers {
namespace {

struct Options {
  double lr = 0.1;
  double momentum = 0.9;
  bool nesterov = false;
  double weight_decay = 0.0;
  bool decay_1d = true;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("lr", &Options::lr, "learning rate").required().at_least(0);
  schema.add("momentum", &Options::momentum, "share of the last update that is kept")
      .at_least(0)
      .less_than(1);
  schema.add("nesterov", &Options::nesterov, "look one step of the momentum ahead");
  schema.add("weight_decay", &Options::weight_decay, "L2 penalty added to the gradient")
      .at_least(0);
  schema.add("decay_1d", &Options::decay_1d,
             "whether weight decay reaches biases and normalisations (one-dimensional parameters)");
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    if (options.nesterov && options.momentum == 0) {
      findings.push_back({Finding::Severity::error, "nesterov", "needs a momentum of more than 0"});
    }
    if (!options.decay_1d && options.weight_decay == 0) {
      findings.push_back(
          {Finding::Severity::warning, "decay_1d", "has no effect without weight decay"});
    }
  });
  return schema;
}

/// Stochastic gradient descent with momentum, in PyTorch's convention: m ← µ·m + g, θ ← θ − lr·m.
class Sgd : public Optimizer, public OptimizerMomentum {
 public:
  Sgd(const Options& options, const OptimizerContext& context)
      : options_(options),
        parameters_(context.parameters),
        momentum_("momentum", context.parameters) {}

  void step(double lr_scale) override {
    const c10::NoGradGuard no_grad;
    const double lr = options_.lr * lr_scale;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor& parameter = parameters_[i].second;
      if (!parameter.grad().defined()) {
        continue;
      }
      at::Tensor gradient = parameter.grad();
      if (options_.weight_decay != 0 && applies_to(parameter, options_.decay_1d)) {
        gradient = gradient.add(parameter, options_.weight_decay);
      }
      at::Tensor& momentum = momentum_[i];
      momentum.mul_(options_.momentum).add_(gradient);
      parameter.add_(options_.nesterov ? gradient.add(momentum, options_.momentum) : momentum, -lr);
    }
  }

  double learning_rate() const override { return options_.lr; }
  double momentum() const override { return options_.momentum; }

  void* capability(std::string_view id) override { return provide<OptimizerMomentum>(*this, id); }

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
  registrar.add<Optimizer>(
      {.name = "sgd",
       .summary = "stochastic gradient descent with momentum",
       .source = "Sutskever et al. 2013, in PyTorch's convention"},
      schema(),
      [](const Options& options, const OptimizerContext& context) -> std::shared_ptr<Optimizer> {
        return std::make_shared<Sgd>(options, context);
      });
}

}  // namespace bissl::optimizers
