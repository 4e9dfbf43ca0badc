#include "bilevel/bissl_coupling.h"

#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "models/precision.h"
#include "models/training_step.h"

#include <c10/core/GradMode.h>

namespace bissl::host {
NamedTensors upper_parameters(Backbone& upper, Downstream& downstream) {
  NamedTensors all;
  for (const auto& [name, tensor] : trainable_parameters(upper.module())) {
    all.emplace_back("backbone." + name, tensor);
  }
  for (const auto& [name, tensor] : trainable_parameters(downstream.module())) {
    all.emplace_back("head." + name, tensor);
  }
  return all;
}

void adapt_upper_backbone(Backbone& upper, Backbone& lower, double strength) {
  TensorList weights = tensors_of(trainable_parameters(upper.module()));
  const c10::NoGradGuard no_grad;
  scale(weights, 1.0 - strength);
  add_scaled(weights, strength, tensors_of(trainable_parameters(lower.module())));
}

BisslCoupling::BisslCoupling(Models models, double gamma)
    : models_(models),
      gamma_(gamma),
      parameters_(upper_parameters(models.upper, models.downstream)) {}

OuterGradient BisslCoupling::direct(const OuterBatch& batch, uint64_t noise_seed) {
  OuterGradient result;
  TensorList through = tensors_of(trainable_parameters(models_.lower.module()));
  const size_t backbone = through.size();
  for (size_t i = backbone; i < parameters_.size(); ++i) {
    through.push_back(parameters_[i].tensor);
  }
  LossGradient through_lower;
  {
    const EvaluationGuard guard({&models_.lower.module(), &models_.downstream.module()},
                                noise_seed);
    const HypergradientPrecision precision;
    through_lower = downstream_gradient(models_.lower, models_.downstream, through, batch);
  }
  result.loss = through_lower.loss;
  TensorList& gradients = through_lower.gradients;
  for (size_t i = 0; i < backbone; ++i) {
    result.u.push_back(std::move(gradients[i]));
    gradients[i] = at::Tensor();
  }
  result.direct.push_back({.weight = 1, .gradient = std::move(gradients)});
  double plain_loss = 0;
  if (gamma_ != 0) {
    LossGradient plain =
        downstream_gradient(models_.upper, models_.downstream, tensors_of(parameters_), batch);
    plain_loss = plain.loss;
    result.direct.push_back({.weight = gamma_, .gradient = std::move(plain.gradients)});
  }
  result.values.emplace_back("plain_loss", plain_loss);
  return result;
}

TensorList BisslCoupling::pull_back(const TensorList& v, double /*weight*/) {
  TensorList pulled = v;
  pulled.resize(parameters_.size());
  return pulled;
}

}  // namespace bissl::host
