#include "stages/best_weights.h"

#include "bissl/error.h"
#include "models/module_state.h"
#include "stages/agreement.h"
#include "stages/session.h"

#include <c10/core/GradMode.h>

#include <cmath>
#include <map>

namespace bissl::host {

nlohmann::json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

BestWeights::BestWeights(Networks networks, bool higher_is_better)
    : networks_(std::move(networks)), higher_is_better_(higher_is_better) {}

NamedTensors BestWeights::now() const {
  NamedTensors all;
  for (const auto& [network, module] : networks_) {
    for (const auto& [name, tensor] : module_state(*module)) {
      all.emplace_back(network + "." + name, tensor);
    }
  }
  return all;
}

void BestWeights::load(const NamedTensors& state) {
  const std::map<std::string, at::Tensor> given = by_name(state);
  weights_.clear();
  for (const auto& [name, tensor] : now()) {
    const auto found = given.find(name);
    if (found == given.end()) {
      break;  // a checkpoint from before the first offer has none of them
    }
    if (found->second.sizes() != tensor.sizes()) {
      fail_input("the checkpoint's best weights do not fit the network: \"{}\"", name);
    }
    weights_.emplace_back(name, found->second.to(tensor.options()).clone());
  }
}

void BestWeights::keep(Session& session, const std::string& name) {
  session.keep_tensors(
      name, [this] { return weights_; }, [this](const NamedTensors& state) { load(state); });
  session.keep(
      name,
      [this] {
        return nlohmann::json{{"value", number_or_null(value_)}, {"step", step_}};
      },
      [this](const nlohmann::json& saved) {
        value_ = saved.at("value").is_null() ? std::nan("") : saved.at("value").get<double>();
        step_ = saved.at("step").get<int64_t>();
      });
}

bool BestWeights::offer(double own, int64_t step) {
  const double value = of_process_0(own);
  const bool better =
      std::isfinite(value) &&
      (!std::isfinite(value_) || (higher_is_better_ ? value > value_ : value < value_));
  if (!better && !weights_.empty()) {
    return false;
  }
  value_ = value;
  step_ = step;
  weights_.clear();
  for (const auto& [name, tensor] : now()) {
    weights_.emplace_back(name, tensor.detach().clone());
  }
  return true;
}

void BestWeights::put() const {
  const c10::NoGradGuard no_grad;
  const NamedTensors networks = now();
  for (size_t i = 0; i < weights_.size(); ++i) {
    at::Tensor tensor = networks[i].tensor;
    tensor.copy_(weights_[i].tensor);
  }
}

}  // namespace bissl::host
