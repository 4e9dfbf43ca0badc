#include "components.h"
#include "options.h"

#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"
#include "bissl/optimizer_state.h"

#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

struct Options {
  double lr = 0.02;
  double momentum = 0.95;
  bool nesterov = true;
  int64_t iterations = 5;
  DecayOptions decay{.decay_1d = false};
  double lr_1d = 0.0003;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("lr", &Options::lr, "learning rate of matrices").required().at_least(0);
  schema.add("momentum", &Options::momentum, "share of the last momentum that is kept")
      .at_least(0)
      .less_than(1);
  schema.add("nesterov", &Options::nesterov, "look one step of the momentum ahead");
  schema
      .add("iterations", &Options::iterations,
           "Newton-Schulz iterations towards the orthogonal matrix")
      .at_least(1)
      .at_most(100);
  schema.embed(&Options::decay, decay_schema(decoupled_decay));
  schema
      .add("lr_1d", &Options::lr_1d,
           "learning rate of AdamW for biases and normalisations (one-dimensional parameters)")
      .at_least(0);
  schema.add("beta1", &Options::beta1, "decay of the mean of gradients, of that AdamW")
      .at_least(0)
      .less_than(1);
  schema.add("beta2", &Options::beta2, "decay of the mean of squared gradients, of that AdamW")
      .at_least(0)
      .less_than(1);
  schema.add("epsilon", &Options::epsilon, "added to the root of the mean square, by that AdamW")
      .more_than(0);
  return schema;
}

/// A matrix of the same singular vectors as `matrix`, whose singular values are near 1: the quintic
/// iteration of Newton and Schulz with the coefficients of Jordan et al. 2024. Between about 0.7
/// and 1.2 after 5 iterations, but for values that were tiny.
at::Tensor orthogonalised(const at::Tensor& matrix, int64_t iterations) {
  constexpr double a = 3.4445;
  constexpr double b = -4.7750;
  constexpr double c = 2.0315;
  constexpr double tiny = 1e-7;
  const bool tall = matrix.size(0) > matrix.size(1);
  at::Tensor x = tall ? matrix.t() : matrix;
  x = x.div(x.norm().add_(tiny));
  for (int64_t i = 0; i < iterations; ++i) {
    const at::Tensor square = x.matmul(x.t());
    x = x.mul(a).add_(square.mul(b).add_(square.matmul(square), c).matmul(x));
  }
  return tall ? x.t() : x;
}

/// Momentum whose step is made orthogonal, for parameters of two dimensions and more. A filter of a
/// convolution is a row of the matrix (out, in·height·width). With m ← µ·m + g and u = g + µ·m (or
/// m), θ ← θ·(1 − lr·wd) − lr·√max(1, rows/columns)·orthogonalised(u). One-dimensional parameters
/// get a step of AdamW. The step does not act on each element by itself, so there is no
/// preconditioner.
class Muon : public Optimizer, public OptimizerMomentumSetting, public OptimizerWeightDecay {
 public:
  Muon(const Options& options, const OptimizerContext& context)
      : options_(options),
        parameters_(context.parameters),
        momentum_("momentum", context.parameters),
        mean_square_("mean_square", vectors_of(context.parameters)) {
    size_t vectors = 0;
    for (const auto& [name, tensor] : parameters_) {
      vector_number_.push_back(tensor.dim() > 1 ? 0 : vectors++);
    }
  }

  void step(double lr_scale) override {
    const c10::NoGradGuard no_grad;
    ++steps_;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor& parameter = parameters_[i].tensor;
      if (!parameter.grad().defined()) {
        continue;
      }
      const bool is_matrix = parameter.dim() > 1;
      const double lr = lr_scale * (is_matrix ? options_.lr : options_.lr_1d);
      if (applies_to(parameter, options_.decay.decay_1d)) {
        parameter.mul_(1.0 - lr * options_.decay.weight_decay);
      }
      if (is_matrix) {
        step_matrix(i, lr);
      } else {
        step_vector(i, lr);
      }
    }
  }

  double learning_rate() const override { return options_.lr; }
  double momentum() const override { return options_.momentum; }
  void set_momentum(double value) override { options_.momentum = value; }
  double weight_decay() const override { return options_.decay.weight_decay; }
  void set_weight_decay(double value) override { options_.decay.weight_decay = value; }

  void* capability(std::string_view id) override {
    return provide<OptimizerMomentumSetting, OptimizerWeightDecay>(*this, id);
  }

  NamedTensors state() const override {
    NamedTensors state{{"steps", at::tensor(steps_)}};
    momentum_.save(state);
    mean_square_.save(state);
    return state;
  }

  void load_state(const NamedTensors& state) override {
    const auto steps = find_state(state, "steps", at::tensor(steps_)).item<int64_t>();
    mean_square_.check(state);
    momentum_.load(state);
    mean_square_.load(state);
    steps_ = steps;
  }

 private:
  static NamedTensors vectors_of(const NamedTensors& parameters) {
    NamedTensors vectors;
    for (const auto& entry : parameters) {
      if (entry.tensor.dim() <= 1) {
        vectors.push_back(entry);
      }
    }
    return vectors;
  }

  void step_matrix(size_t i, double lr) {
    at::Tensor& parameter = parameters_[i].tensor;
    at::Tensor& momentum = momentum_[i];
    momentum.mul_(options_.momentum).add_(parameter.grad());
    const at::Tensor direction =
        options_.nesterov ? parameter.grad().add(momentum, options_.momentum) : momentum;
    const at::Tensor matrix = direction.reshape({direction.size(0), -1});
    const double ratio = static_cast<double>(matrix.size(0)) /
                         static_cast<double>(std::max<int64_t>(1, matrix.size(1)));
    parameter.add_(orthogonalised(matrix, options_.iterations).reshape(parameter.sizes()),
                   -lr * std::sqrt(std::max(1.0, ratio)));
  }

  void step_vector(size_t i, double lr) {
    at::Tensor& parameter = parameters_[i].tensor;
    const at::Tensor& gradient = parameter.grad();
    const auto steps = static_cast<double>(steps_);
    at::Tensor& mean = momentum_[i];
    at::Tensor& mean_square = mean_square_[vector_number_[i]];
    mean.mul_(options_.beta1).add_(gradient, 1.0 - options_.beta1);
    mean_square.mul_(options_.beta2).addcmul_(gradient, gradient, 1.0 - options_.beta2);
    const double correction1 = 1.0 - std::pow(options_.beta1, steps);
    const double correction2 = 1.0 - std::pow(options_.beta2, steps);
    const at::Tensor denominator =
        mean_square.sqrt().div_(std::sqrt(correction2)).add_(options_.epsilon);
    parameter.addcdiv_(mean, denominator, -lr / correction1);
  }

  Options options_;
  NamedTensors parameters_;
  StateBuffers momentum_;     ///< of matrices the momentum, of vectors AdamW's mean
  StateBuffers mean_square_;  ///< of the vectors
  std::vector<size_t> vector_number_;
  int64_t steps_ = 0;
};

}  // namespace

void add_muon(Registrar& registrar) {
  registrar.add<Optimizer, Muon>(
      {.name = "muon",
       .summary = "momentum made orthogonal, for matrices and convolutions; AdamW for the rest",
       .source = "Jordan et al. 2024, kellerjordan.github.io/posts/muon"},
      schema());
}

}  // namespace bissl
