#include "bilevel/lower_trajectory.h"

#include "bilevel/hessian.h"
#include "bilevel/optimizer_abilities.h"
#include "bilevel/pretext_problem.h"
#include "bissl/error.h"
#include "models/attribution.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"
#include "models/precision.h"
#include "models/vector_check.h"

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
    // All copies come before the first change: where there is no memory for one, nothing has moved.
    for (const NamedTensor& entry : tensors) {
      data_.push_back(entry.tensor.variable_data());
      saved_.push_back(data_.back().clone());
    }
    for (size_t i = 0; i < data_.size(); ++i) {
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

/// How the optimizer moved the weights in a step. Unless it is set the step was left out (a scaled
/// loss overflowed): neither weights nor momentum moved, and no gradient was used.
struct StepUpdate {
  double learning_rate = 0;
  double momentum = 1;
  double clip = 0;            ///< the factor of gradient clipping
  TensorList preconditioner;  ///< without that factor; empty: ones
};

/// What evaluates the loss of a step again.
struct StepInputs {
  TensorList values;           ///< of state_of, before the step
  std::vector<Batch> batches;  ///< the loss is the mean over them
  int64_t number = 0;          ///< of the first batch
  at::Tensor generator;        ///< the state of LibTorch's generator
};

}  // namespace

/// One step, and L_P before it.
class RecordedStep : public ImplicitSystem {
 public:
  RecordedStep(Backbone& backbone, Pretext& pretext, double lambda, StepInputs inputs)
      : backbone_(backbone),
        pretext_(pretext),
        lambda_(lambda),
        id_(next_system_id()),
        inputs_(std::move(inputs)) {
    const NamedTensors state = state_of(backbone, pretext);
    std::map<std::string, at::Tensor> recorded;
    for (size_t i = 0; i < state.size(); ++i) {
      recorded.emplace(state[i].name, inputs_.values[i]);
    }
    for (const auto& [name, tensor] : trainable_parameters(backbone.module())) {
      names_.push_back(name);
      parameters_.push_back(recorded.at("backbone." + name));
    }
  }

  TensorList hessian_product(const TensorList& x) override {
    require_like("the x of a product H·x", x, parameters_);
    const SwappedValues swapped(state_of(backbone_, pretext_), inputs_.values);
    return in_gradient(pretext_, backbone_,
                       [&] { return HessianOperator(loss(), trained()).product(x); });
  }

  TensorList gradient(const TensorList& shift) override {
    if (!shift.empty()) {
      require_like("the shift of a gradient", shift, parameters_);
    }
    const SwappedValues swapped(state_of(backbone_, pretext_), inputs_.values);
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

  const StepInputs& inputs() const { return inputs_; }
  const StepUpdate& update() const { return update_; }
  /// The update is known only after the gradients of the step.
  void set_update(StepUpdate update) { update_ = std::move(update); }

  LowerStep step() {
    LowerStep step{.learning_rate = update_.learning_rate,
                   .momentum = update_.momentum,
                   .preconditioner = update_.preconditioner,
                   .system = this};
    if (update_.clip != 1.0 && step.preconditioner.empty()) {
      for (const at::Tensor& parameter : parameters_) {
        step.preconditioner.push_back(
            at::scalar_tensor(update_.clip, parameter.options()).expand_as(parameter));
      }
    } else if (update_.clip != 1.0) {
      step.preconditioner = copy(update_.preconditioner);
      scale(step.preconditioner, update_.clip);
    }
    return step;
  }

 private:
  TensorList trained() const { return tensors_of(trainable_parameters(backbone_.module())); }

  at::Tensor loss() {
    const HypergradientPrecision precision;
    const EvaluationGuard guard({&backbone_.module(), &pretext_.module()}, 0);
    set_generator_state(inputs_.generator);
    const c10::AutoGradMode grad(true);
    return mean_loss(pretext_, backbone_, inputs_.batches);
  }

  Backbone& backbone_;
  Pretext& pretext_;
  double lambda_;
  uint64_t id_;
  StepInputs inputs_;
  StepUpdate update_;
  std::vector<std::string> names_;
  TensorList parameters_;  ///< the backbone's among the recorded values
};

LowerTrajectory::LowerTrajectory(Backbone& backbone, Pretext& pretext, int64_t length,
                                 double lambda)
    : backbone_(backbone),
      pretext_(pretext),
      length_(static_cast<size_t>(length)),
      lambda_(lambda) {}

LowerTrajectory::~LowerTrajectory() = default;

void LowerTrajectory::clear() { steps_.clear(); }

void LowerTrajectory::before_step(std::vector<Batch> batches, int64_t number) {
  if (steps_.size() == length_) {
    steps_.pop_front();
  }
  steps_.push_back(std::make_unique<RecordedStep>(
      backbone_, pretext_, lambda_,
      StepInputs{.values = copy(tensors_of(state_of(backbone_, pretext_))),
                 .batches = std::move(batches),
                 .number = number,
                 .generator = generator_state()}));
}

void LowerTrajectory::with_gradients(Optimizer& optimizer, const TensorList& gradients,
                                     double lr_scale, double clip) {
  RecordedStep& step = *steps_.back();
  StepUpdate update{.learning_rate = lr_scale * optimizer.learning_rate(),
                    .momentum = momentum_of(optimizer),
                    .clip = clip,
                    .preconditioner = preconditioner_of(optimizer, gradients)};
  if (!update.preconditioner.empty()) {
    update.preconditioner.resize(step.parameters().size());
  }
  step.set_update(std::move(update));
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
    const StepInputs& inputs = steps_[k]->inputs();
    const StepUpdate& update = steps_[k]->update();
    state.emplace_back(fmt::format("{}/batch", k), at::tensor(inputs.number));
    state.emplace_back(fmt::format("{}/batches", k),
                       at::tensor(static_cast<int64_t>(inputs.batches.size())));
    state.emplace_back(
        fmt::format("{}/rates", k),
        at::tensor({update.learning_rate, update.momentum, update.clip}, at::kDouble));
    state.emplace_back(fmt::format("{}/generator", k), inputs.generator);
    for (size_t i = 0; i < inputs.values.size(); ++i) {
      state.emplace_back(fmt::format("{}/value/{}", k, i), inputs.values[i]);
    }
    for (size_t i = 0; i < update.preconditioner.size(); ++i) {
      state.emplace_back(fmt::format("{}/preconditioner/{}", k, i), update.preconditioner[i]);
    }
  }
  return state;
}

void LowerTrajectory::load_state(const NamedTensors& state,
                                 const std::function<Batch(int64_t)>& batches) {
  const std::map<std::string, at::Tensor> all = by_name(state);
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
    const auto number = all.at(fmt::format("{}/batch", k)).item<int64_t>();
    const auto parts = all.at(fmt::format("{}/batches", k)).item<int64_t>();
    std::vector<Batch> of_step;
    for (int64_t i = 0; i < parts; ++i) {
      of_step.push_back(batches(number + i));
    }
    auto step = std::make_unique<RecordedStep>(
        backbone_, pretext_, lambda_,
        StepInputs{
            .values = list(fmt::format("{}/value", k), tensors_of(state_of(backbone_, pretext_))),
            .batches = std::move(of_step),
            .number = number,
            .generator = all.at(fmt::format("{}/generator", k))});
    const at::Tensor rates = all.at(fmt::format("{}/rates", k));
    StepUpdate update{.learning_rate = rates[0].item<double>(),
                      .momentum = rates[1].item<double>(),
                      .clip = rates[2].item<double>(),
                      .preconditioner = {}};
    if (all.count(fmt::format("{}/preconditioner/0", k)) > 0) {
      update.preconditioner = list(fmt::format("{}/preconditioner", k), step->parameters());
    }
    step->set_update(std::move(update));
    steps_.push_back(std::move(step));
  }
}

}  // namespace bissl::host
