#include "components.h"
#include "options.h"

#include "bissl/optimizer.h"
#include "bissl/optimizer_state.h"

#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  double lr = 0.0001;
  double beta1 = 0.9;
  double beta2 = 0.99;
  DecayOptions decay;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("lr", &Options::lr, "learning rate; a third to a tenth of AdamW's")
      .required()
      .at_least(0);
  schema.add("beta1", &Options::beta1, "share of the mean in the step's direction")
      .at_least(0)
      .less_than(1);
  schema.add("beta2", &Options::beta2, "decay of the mean of gradients").at_least(0).less_than(1);
  schema.embed(&Options::decay, decay_schema(decoupled_decay));
  return schema;
}

/// Steps of one size in all elements: c = β₁·m + (1 − β₁)·g, θ ← θ − lr·(sign(c) + wd·θ),
/// m ← β₂·m + (1 − β₂)·g. The step is flat in g nearly everywhere, so there is no preconditioner:
/// what asks for one takes the step for plain descent.
class Lion : public Optimizer, public OptimizerWeightDecay {
 public:
  Lion(const Options& options, const OptimizerContext& context)
      : options_(options), parameters_(context.parameters), mean_("mean", context.parameters) {}

  void step(double lr_scale) override {
    const c10::NoGradGuard no_grad;
    const double lr = options_.lr * lr_scale;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor& parameter = parameters_[i].tensor;
      const at::Tensor& gradient = parameter.grad();
      if (!gradient.defined()) {
        continue;
      }
      const at::Tensor direction =
          mean_[i].mul(options_.beta1).add_(gradient, 1.0 - options_.beta1).sign_();
      if (applies_to(parameter, options_.decay.decay_1d)) {
        parameter.mul_(1.0 - lr * options_.decay.weight_decay);
      }
      parameter.add_(direction, -lr);
      mean_[i].mul_(options_.beta2).add_(gradient, 1.0 - options_.beta2);
    }
  }

  double learning_rate() const override { return options_.lr; }
  double weight_decay() const override { return options_.decay.weight_decay; }
  void set_weight_decay(double value) override { options_.decay.weight_decay = value; }

  void* capability(std::string_view id) override {
    return provide<OptimizerWeightDecay>(*this, id);
  }

  NamedTensors state() const override {
    NamedTensors state;
    mean_.save(state);
    return state;
  }

  void load_state(const NamedTensors& state) override { mean_.load(state); }

 private:
  Options options_;
  NamedTensors parameters_;
  StateBuffers mean_;
};

}  // namespace

void add_lion(Registrar& registrar) {
  registrar.add<Optimizer, Lion>({.name = "lion",
                                  .summary = "the sign of a mean of gradients",
                                  .source = "Chen et al. 2023, arXiv 2302.06675, algorithm 2"},
                                 schema());
}

}  // namespace bissl
