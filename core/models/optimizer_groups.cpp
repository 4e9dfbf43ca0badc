#include "models/optimizer_groups.h"

#include <ATen/ops/full_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bissl::host {
namespace {

std::string prefix_of(size_t group) { return fmt::format("group{}/", group); }

}  // namespace

OptimizerGroups::OptimizerGroups(std::vector<OptimizerGroup> groups, size_t parameters, double rate)
    : groups_(std::move(groups)), parameters_(parameters), rate_(rate) {
  for (const OptimizerGroup& group : groups_) {
    if (const auto* decay = bissl::capability<OptimizerWeightDecay>(*group.optimizer)) {
      decays_.push_back(decay->weight_decay());
    }
  }
  if (!decays_.empty()) {
    largest_decay_ = *std::max_element(decays_.begin(), decays_.end());
    weight_decay_ = largest_decay_;
  }
}

void OptimizerGroups::step(double lr_scale) {
  for (const OptimizerGroup& group : groups_) {
    group.optimizer->step(lr_scale * rate_ * group.lr_factor);
  }
}

double OptimizerGroups::learning_rate() const {
  return groups_.front().optimizer->learning_rate() * rate_;
}

NamedTensors OptimizerGroups::state() const {
  NamedTensors all;
  for (size_t i = 0; i < groups_.size(); ++i) {
    for (const auto& [name, tensor] : groups_[i].optimizer->state()) {
      all.emplace_back(prefix_of(i) + name, tensor);
    }
  }
  return all;
}

void OptimizerGroups::load_state(const NamedTensors& state) {
  for (size_t i = 0; i < groups_.size(); ++i) {
    NamedTensors of_group;
    const std::string prefix = prefix_of(i);
    for (const auto& [name, tensor] : state) {
      if (name.starts_with(prefix)) {
        of_group.emplace_back(name.substr(prefix.size()), tensor);
      }
    }
    groups_[i].optimizer->load_state(of_group);
  }
}

void* OptimizerGroups::capability(std::string_view id) {
  if (id == OptimizerPreconditioner::id) {
    return static_cast<OptimizerPreconditioner*>(this);
  }
  if (id == OptimizerMomentum::id &&
      groups_.front().optimizer->capability(OptimizerMomentum::id) != nullptr) {
    return static_cast<OptimizerMomentum*>(this);
  }
  if (id == OptimizerMomentumSetting::id &&
      groups_.front().optimizer->capability(OptimizerMomentumSetting::id) != nullptr) {
    return static_cast<OptimizerMomentumSetting*>(this);
  }
  if (id == OptimizerWeightDecay::id && decays_.size() == groups_.size()) {
    return static_cast<OptimizerWeightDecay*>(this);
  }
  return nullptr;
}

double OptimizerGroups::momentum() const {
  Optimizer& first = *groups_.front().optimizer;
  const auto* set = bissl::capability<OptimizerMomentumSetting>(first);
  return set != nullptr ? set->momentum() : bissl::capability<OptimizerMomentum>(first)->momentum();
}

void OptimizerGroups::set_momentum(double value) {
  for (const OptimizerGroup& group : groups_) {
    bissl::capability<OptimizerMomentumSetting>(*group.optimizer)->set_momentum(value);
  }
}

TensorList OptimizerGroups::preconditioner(const TensorList& gradients) const {
  const c10::NoGradGuard no_grad;
  TensorList all(parameters_);
  for (const OptimizerGroup& group : groups_) {
    TensorList own;
    for (const size_t member : group.members) {
      own.push_back(gradients[member]);
    }
    const auto* ability = bissl::capability<OptimizerPreconditioner>(*group.optimizer);
    const TensorList factors = ability == nullptr ? TensorList{} : ability->preconditioner(own);
    for (size_t i = 0; i < own.size(); ++i) {
      if (own[i].defined()) {
        all[group.members[i]] = factors.empty() ? at::full_like(own[i], group.lr_factor)
                                                : factors[i].mul(group.lr_factor);
      }
    }
  }
  return all;
}

void OptimizerGroups::set_weight_decay(double value) {
  weight_decay_ = value;
  for (size_t i = 0; i < groups_.size(); ++i) {
    const double share = largest_decay_ > 0 ? decays_[i] / largest_decay_ : 1.0;
    bissl::capability<OptimizerWeightDecay>(*groups_[i].optimizer)->set_weight_decay(value * share);
  }
}

}  // namespace bissl::host
