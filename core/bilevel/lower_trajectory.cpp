#include "bilevel/lower_trajectory.h"

#include "bilevel/hessian.h"
#include "bilevel/optimizer_abilities.h"
#include "bilevel/pretext_problem.h"
#include "bissl/error.h"
#include "models/attribution.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"

#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <map>

namespace bissl::host {
namespace {

/// All parameters and buffers of both models; the backbone's trainable ones are `backbone.NAME`.
NamedTensors state_of(Backbone& backbone, Pretext& pretext) {
  NamedTensors all;
  for (const auto& [name, tensor] : module_state(backbone.module())) {
    all.emplace_back("backbone." + name, tensor);
  }
  for (const auto& [name, tensor] : module_state(pretext.module())) {
    all.emplace_back("pretext." + name, tensor);
  }
  return all;
}

/// Puts other values into tensors while it lives, without their version counters, which graphs
/// that are kept meanwhile check; the old values come back to the bit.
class SwappedValues {
 public:
  SwappedValues(const NamedTensors& tensors, const TensorList& values) {
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < tensors.size(); ++i) {
      data_.push_back(tensors[i].second.variable_data());
      saved_.push_back(data_[i].clone());
      data_[i].copy_(values[i]);
    }
  }
  ~SwappedValues() {
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < data_.size(); ++i) {
      data_[i].copy_(saved_[i]);
    }
  }
  SwappedValues(const SwappedValues&) = delete;
  SwappedValues& operator=(const SwappedValues&) = delete;

 private:
  TensorList data_;
  TensorList saved_;
};

}  // namespace

/// One step, and L_P before it.
class RecordedStep : public ImplicitSystem {
 public:
  RecordedStep(Backbone& backbone, Pretext& pretext, double lambda)
      : backbone_(backbone), pretext_(pretext), lambda_(lambda), id_(next_system_id()) {
    for (const auto& entry : trainable_parameters(backbone.module())) {
      names_.push_back(entry.first);
    }
  }

  TensorList hessian_product(const TensorList& x) override {
    const SwappedValues swapped(state_of(backbone_, pretext_), values);
    return in_gradient(pretext_, backbone_,
                       [&] { return HessianOperator(loss(), trained()).product(x); });
  }

  TensorList gradient(const TensorList& shift) override {
    const SwappedValues swapped(state_of(backbone_, pretext_), values);
    if (!shift.empty()) {
      TensorList weights;
      for (const at::Tensor& parameter : trained()) {
        weights.push_back(parameter.variable_data());
      }
      add_scaled(weights, 1.0, shift);
    }
    return in_gradient(pretext_, backbone_, [&] { return gradients_of(loss(), trained()); });
  }

  const TensorList& parameters() const override { return parameters_; }
  double weight() const override { return lambda_; }
  const std::vector<std::string>& parameter_names() const override { return names_; }
  uint64_t id() const override { return id_; }

  LowerStep step() {
    LowerStep step{.learning_rate = learning_rate,
                   .momentum = momentum,
                   .preconditioner = preconditioner,
                   .system = this};
    if (clip != 1.0 && preconditioner.empty()) {
      for (const at::Tensor& parameter : parameters_) {
        step.preconditioner.push_back(
            at::scalar_tensor(clip, parameter.options()).expand_as(parameter));
      }
    } else if (clip != 1.0) {
      step.preconditioner = copy(preconditioner);
      scale(step.preconditioner, clip);
    }
    return step;
  }

  /// To be called when `values` are set.
  void find_parameters() {
    std::map<std::string, at::Tensor> by_name;
    const NamedTensors now = state_of(backbone_, pretext_);
    for (size_t i = 0; i < now.size(); ++i) {
      by_name.emplace(now[i].first, values[i]);
    }
    for (const std::string& name : names_) {
      parameters_.push_back(by_name.at("backbone." + name));
    }
  }

  TensorList values;     ///< of state_of, before the step
  Batch batch;           ///< the step's
  int64_t number = 0;    ///< of the batch
  at::Tensor generator;  ///< the state of LibTorch's generator
  double learning_rate = 0;
  double momentum = 0;
  double clip = 1;
  TensorList preconditioner;  ///< without the factor of clipping; empty stands for ones

 private:
  TensorList trained() const { return tensors_of(trainable_parameters(backbone_.module())); }

  at::Tensor loss() {
    const EvaluationGuard guard({&backbone_.module(), &pretext_.module()}, 0);
    set_generator_state(generator);
    const c10::AutoGradMode grad(true);
    return pretext_.loss(backbone_, batch);
  }

  Backbone& backbone_;
  Pretext& pretext_;
  double lambda_;
  uint64_t id_;
  std::vector<std::string> names_;
  TensorList parameters_;
};

LowerTrajectory::LowerTrajectory(Backbone& backbone, Pretext& pretext, int64_t length,
                                 double lambda)
    : backbone_(backbone),
      pretext_(pretext),
      length_(static_cast<size_t>(length)),
      lambda_(lambda) {}

LowerTrajectory::~LowerTrajectory() = default;

void LowerTrajectory::clear() { steps_.clear(); }

void LowerTrajectory::before_step(const Batch& batch, int64_t number) {
  if (steps_.size() == length_) {
    steps_.pop_front();
  }
  auto step = std::make_unique<RecordedStep>(backbone_, pretext_, lambda_);
  step->values = copy(tensors_of(state_of(backbone_, pretext_)));
  step->find_parameters();
  step->batch = batch;
  step->number = number;
  step->generator = generator_state();
  steps_.push_back(std::move(step));
}

void LowerTrajectory::with_gradients(Optimizer& optimizer, const TensorList& gradients,
                                     double lr_scale, double clip) {
  RecordedStep& step = *steps_.back();
  step.learning_rate = lr_scale * optimizer.learning_rate();
  step.momentum = momentum_of(optimizer);
  step.clip = clip;
  step.preconditioner = preconditioner_of(optimizer, gradients);
  if (!step.preconditioner.empty()) {
    step.preconditioner.resize(step.parameters().size());
  }
}

std::vector<LowerStep> LowerTrajectory::steps() const {
  std::vector<LowerStep> steps;
  for (const auto& step : steps_) {
    steps.push_back(step->step());
  }
  return steps;
}

NamedTensors LowerTrajectory::state() const {
  NamedTensors state;
  for (size_t k = 0; k < steps_.size(); ++k) {
    const RecordedStep& step = *steps_[k];
    state.emplace_back(fmt::format("{}/batch", k), at::tensor(step.number));
    state.emplace_back(fmt::format("{}/rates", k),
                       at::tensor({step.learning_rate, step.momentum, step.clip}, at::kDouble));
    state.emplace_back(fmt::format("{}/generator", k), step.generator);
    for (size_t i = 0; i < step.values.size(); ++i) {
      state.emplace_back(fmt::format("{}/value/{}", k, i), step.values[i]);
    }
    for (size_t i = 0; i < step.preconditioner.size(); ++i) {
      state.emplace_back(fmt::format("{}/preconditioner/{}", k, i), step.preconditioner[i]);
    }
  }
  return state;
}

void LowerTrajectory::load_state(const NamedTensors& state,
                                 const std::function<Batch(int64_t)>& batches) {
  const std::map<std::string, at::Tensor> all(state.begin(), state.end());
  const auto list = [&](const std::string& prefix, const TensorList& like) {
    TensorList found;
    for (size_t i = 0; i < like.size(); ++i) {
      const auto entry = all.find(fmt::format("{}/{}", prefix, i));
      if (entry == all.end() || entry->second.sizes() != like[i].sizes()) {
        fail_input("the checkpoint's recorded lower step \"{}\" does not fit the models", prefix);
      }
      found.push_back(entry->second.to(like[i].options()));
    }
    return found;
  };
  clear();
  for (size_t k = 0; all.count(fmt::format("{}/batch", k)) > 0; ++k) {
    auto step = std::make_unique<RecordedStep>(backbone_, pretext_, lambda_);
    step->values = list(fmt::format("{}/value", k), tensors_of(state_of(backbone_, pretext_)));
    step->find_parameters();
    if (all.count(fmt::format("{}/preconditioner/0", k)) > 0) {
      step->preconditioner = list(fmt::format("{}/preconditioner", k), step->parameters());
    }
    step->number = all.at(fmt::format("{}/batch", k)).item<int64_t>();
    const at::Tensor rates = all.at(fmt::format("{}/rates", k));
    step->learning_rate = rates[0].item<double>();
    step->momentum = rates[1].item<double>();
    step->clip = rates[2].item<double>();
    step->generator = all.at(fmt::format("{}/generator", k));
    step->batch = batches(step->number);
    steps_.push_back(std::move(step));
  }
}

}  // namespace bissl::host
