// Key functions: the type information and virtual tables of the interfaces live in this library.

#include "bissl/augmentation.h"
#include "bissl/backbone.h"
#include "bissl/backbone_abilities.h"
#include "bissl/component.h"
#include "bissl/dataset.h"
#include "bissl/downstream.h"
#include "bissl/hypergradient.h"
#include "bissl/implicit_system.h"
#include "bissl/optimizer.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"
#include "bissl/transform.h"

#include <algorithm>

namespace bissl {

Registrar::~Registrar() = default;
Component::~Component() = default;
Dataset::~Dataset() = default;
Augmentation::~Augmentation() = default;
Transform::~Transform() = default;
Backbone::~Backbone() = default;
Pretext::~Pretext() = default;
MetricAccumulator::~MetricAccumulator() = default;
Downstream::~Downstream() = default;
Optimizer::~Optimizer() = default;
ImplicitSystem::~ImplicitSystem() = default;
Hypergradient::~Hypergradient() = default;

void* Component::capability(std::string_view /*id*/) { return nullptr; }

bool Augmentation::takes(PixelType type) const { return type == PixelType::uint8; }

bool Transform::takes(PixelType type) const { return type == PixelType::uint8; }

ImageShape Transform::output_shape(const ImageShape& input) const { return input; }

Target Dataset::target(int64_t index) const { return get(index).target; }

at::Tensor TargetBatch::counted() const { return dense.isnan().logical_not(); }

at::Tensor TargetBatch::known() const { return dense.nan_to_num(0.0); }

TargetBatch TargetBatch::to(c10::Device device) const {
  // A GPU fetches them in its own time; what the CPU is to read has to be there.
  return {dense.defined() ? dense.to(at::TensorOptions(device), /*non_blocking=*/!device.is_cpu())
                          : dense};
}

bool Pretext::reads_geometry() const { return false; }

bool Pretext::holds_targets_fixed() const { return false; }

at::Tensor Downstream::forward(const at::Tensor& /*features*/) {
  fail_run(
      "the task has neither forward(features) nor an ability of bissl/downstream_abilities.h: "
      "override one of them, and list the ability in capability()");
}

void fail_without_ability(std::string_view words, std::string_view id, const std::string& name) {
  fail_input("needs a backbone with {} ({}); {} has none", words, id, name);
}

void Pretext::before_step(const TrainingProgress& /*progress*/) {}

void Pretext::after_step(Backbone& /*backbone*/, const TrainingProgress& /*progress*/) {}

bool HypergradientNeeds::has_ability(std::string_view id) const {
  return std::find(abilities.begin(), abilities.end(), id) != abilities.end();
}

std::string to_string(SolveStatus status) {
  switch (status) {
    case SolveStatus::direct:
      return "direct";
    case SolveStatus::converged:
      return "converged";
    case SolveStatus::iteration_limit:
      return "iteration_limit";
    case SolveStatus::negative_curvature:
      return "negative_curvature";
    case SolveStatus::diverged:
      return "diverged";
  }
  return "unknown";
}

std::string to_string(BatchCoupling coupling) {
  switch (coupling) {
    case BatchCoupling::separable:
      return "separable";
    case BatchCoupling::batch_statistics:
      return "batch statistics";
    case BatchCoupling::gathered:
      return "gathered";
  }
  return "unknown";
}

std::string to_string(TargetKind kind) {
  switch (kind) {
    case TargetKind::none:
      return "none";
    case TargetKind::category:
      return "category";
    case TargetKind::multi_label:
      return "multi-label";
    case TargetKind::values:
      return "values";
    case TargetKind::mask:
      return "mask";
  }
  return "unknown";
}

std::string taken_by(Transform::Form form) {
  switch (form) {
    case Transform::Form::pixels:
      return "8-bit pixels";
    case Transform::Form::pixels_to_planes:
      return "pixels";
    case Transform::Form::planes_in_place:
    case Transform::Form::planes:
      break;
  }
  return "float planes";
}

std::string given_by(Transform::Form form) {
  return form == Transform::Form::pixels ? "8-bit pixels" : "float planes";
}

std::string to_string(ComponentKind kind) {
  switch (kind) {
    case ComponentKind::dataset:
      return "dataset";
    case ComponentKind::augmentation:
      return "augmentation";
    case ComponentKind::backbone:
      return "backbone";
    case ComponentKind::pretext:
      return "pretext";
    case ComponentKind::downstream:
      return "downstream";
    case ComponentKind::hypergradient:
      return "hypergradient";
    case ComponentKind::optimizer:
      return "optimizer";
    case ComponentKind::transform:
      return "transform";
  }
  return "unknown";
}

}  // namespace bissl
