#include "bilevel/pretext_problem.h"

#include "base/phase.h"
#include "bilevel/lower_trajectory.h"
#include "bilevel/optimizer_abilities.h"
#include "bissl/error.h"
#include "models/attribution.h"
#include "models/divided.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/memory_meter.h"
#include "models/module_state.h"
#include "models/precision.h"
#include "models/vector_check.h"

#include <ATen/ops/ones_like.h>
#include <c10/core/GradMode.h>

#include <atomic>

namespace bissl::host {

uint64_t next_system_id() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

void require_abilities(const HypergradientNeeds& needs, ImplicitSystem& system,
                       const std::string& who) {
  for (const std::string_view id : needs.abilities) {
    if (system.capability(id) == nullptr) {
      fail_input("{} needs the ability \"{}\" of the lower level, which it does not have here", who,
                 id);
    }
  }
}

at::Tensor mean_loss(Pretext& pretext, Backbone& backbone, const std::vector<Batch>& batches) {
  at::Tensor sum = pretext.loss(backbone, batches[0]);
  for (size_t i = 1; i < batches.size(); ++i) {
    sum = sum.add(pretext.loss(backbone, batches[i]));
  }
  return batches.size() > 1 ? sum.div(static_cast<double>(batches.size())) : sum;
}

namespace {

/// Where a tensor is in a list, by identity.
std::optional<size_t> place_in(const TensorList& list, const at::Tensor& tensor) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (tensor.defined() && list[i].is_same(tensor)) {
      return i;
    }
  }
  return std::nullopt;
}

}  // namespace

PretextProblem::PretextProblem(Backbone& backbone, Pretext& pretext, std::vector<Batch> batches,
                               const Setting& setting, const Training& training)
    : backbone_(backbone),
      pretext_(pretext),
      batches_(std::move(batches)),
      setting_(setting),
      id_(next_system_id()),
      training_(training) {
  const NamedTensors parameters = trainable_parameters(backbone.module());
  parameters_ = tensors_of(parameters);
  for (const auto& entry : parameters) {
    names_.push_back(entry.name);
  }
}

at::Tensor PretextProblem::loss() {
  const HypergradientPrecision precision;
  const EvaluationGuard guard({&backbone_.module(), &pretext_.module()}, setting_.noise_seed);
  const c10::AutoGradMode grad(true);
  return mean_loss(pretext_, backbone_, batches_);
}

TensorList PretextProblem::loss_gradient() {
  return in_gradient(pretext_, backbone_, [&] { return gradients_of(loss(), parameters_); });
}

TensorList PretextProblem::hessian_product(const TensorList& x) {
  require_like("the x of a product H·x", x, parameters_);
  const Phase phase(product_phase);
  ++products_;
  if (setting_.recompute_graph) {
    return in_gradient(pretext_, backbone_,
                       [&] { return HessianOperator(loss(), parameters_).product(x); });
  }
  return in_gradient(pretext_, backbone_, [&] {
    if (!hessian_) {
      const MemoryMeter meter;
      hessian_.emplace(loss(), parameters_);
      graph_bytes_ = meter.bytes();
    }
    return hessian_->product(x);
  });
}

TensorList PretextProblem::gradient(const TensorList& shift) {
  if (shift.empty()) {
    if (gradient_.empty()) {
      gradient_ = hessian_ ? hessian_->gradient() : loss_gradient();
    }
    return copy(gradient_);
  }
  require_like("the shift of a gradient", shift, parameters_);
  // Through variable_data the weights move without their version counters, which a kept graph
  // checks; copying the saved values back restores them to the bit.
  const c10::NoGradGuard no_grad;
  const TensorList saved = copy(parameters_);
  TensorList weights;
  for (const at::Tensor& parameter : parameters_) {
    weights.push_back(parameter.variable_data());
  }
  const auto restore = [&] {
    for (size_t i = 0; i < weights.size(); ++i) {
      weights[i].copy_(saved[i]);
    }
  };
  try {
    add_scaled(weights, 1.0, shift);
    TensorList gradient = loss_gradient();
    restore();
    return gradient;
  } catch (...) {
    restore();
    throw;
  }
}

void* PretextProblem::capability(std::string_view id) {
  if (id == RecordedSteps::id && training_.trajectory == nullptr) {
    return nullptr;
  }
  if (id == FreshBatches::id && !training_.fresh) {
    return nullptr;
  }
  return provide<SystemPreconditioner, RecordedSteps, FreshBatches, LayerGradients>(*this, id);
}

TensorList PretextProblem::preconditioner() {
  const auto ones = [this] {
    TensorList list;
    for (const at::Tensor& parameter : parameters_) {
      list.push_back(at::ones_like(parameter));
    }
    return list;
  };
  if (training_.optimizer == nullptr ||
      bissl::capability<OptimizerPreconditioner>(*training_.optimizer) == nullptr) {
    return ones();
  }
  TensorList gradients = gradient({});
  const size_t own = gradients.size();
  gradients.resize(own + trainable_parameters(pretext_.module()).size());
  TensorList factors = preconditioner_of(*training_.optimizer, gradients);
  factors.resize(own);
  return factors;
}

std::vector<LowerStep> PretextProblem::recorded_steps() { return training_.trajectory->steps(); }

ImplicitSystem& PretextProblem::fresh_system(int64_t index) {
  fresh_.reset();  // two graphs would be in memory otherwise
  Setting setting = setting_;
  setting.noise_seed += static_cast<uint64_t>(index) + 1;
  fresh_ = std::make_unique<PretextProblem>(backbone_, pretext_,
                                            std::vector<Batch>{training_.fresh(index)}, setting);
  return *fresh_;
}

std::vector<LayerGradient> PretextProblem::layer_gradients() {
  const Undivided whole_batches;  // inputs and outputs of layers are those of all samples
  const LayerRecorder recorder;
  const at::Tensor loss = this->loss();
  std::vector<LayerGradient> layers;
  TensorList outputs;
  for (const LayerCall& call : recorder.calls()) {
    const auto weight = place_in(parameters_, call.weight);
    if (weight && call.output.requires_grad()) {
      layers.push_back({.weight = *weight,
                        .bias = place_in(parameters_, call.bias),
                        .input = call.input.detach().to(call.weight.scalar_type()),
                        .output_gradient = {},
                        .convolution = call.convolution,
                        .geometry = call.geometry});
      outputs.push_back(call.output);
    }
  }
  if (!outputs.empty()) {
    const TensorList gradients =
        in_gradient(pretext_, backbone_, [&] { return gradients_of(loss, outputs); });
    for (size_t i = 0; i < layers.size(); ++i) {
      layers[i].output_gradient = gradients[i].to(layers[i].input.scalar_type());
    }
  }
  return layers;
}

}  // namespace bissl::host
