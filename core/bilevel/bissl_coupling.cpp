#include "bilevel/bissl_coupling.h"

#include "models/attribution.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"

#include <c10/core/GradMode.h>

namespace bissl {
namespace {

/// A loss and its gradients in the backbone's parameters, then the head's.
struct LossGradients {
  double loss = 0;
  TensorList gradients;
};

LossGradients downstream_gradient(Backbone& backbone, Downstream& downstream,
                                  const OuterBatch& batch) {
  const c10::AutoGradMode grad(true);
  TensorList all = tensors_of(trainable_parameters(backbone.module()));
  for (const auto& entry : trainable_parameters(downstream.module())) {
    all.push_back(entry.second);
  }
  return in_gradient(downstream, backbone, [&]() -> LossGradients {
    const at::Tensor loss =
        downstream.loss(downstream.forward(backbone.forward(batch.images)), batch.targets);
    TensorList gradients = gradients_of(loss, all);
    return {loss.item<double>(), std::move(gradients)};
  });
}

}  // namespace

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
  LossGradients through_lower;
  {
    const EvaluationGuard guard({&models_.lower.module(), &models_.downstream.module()},
                                noise_seed);
    through_lower = downstream_gradient(models_.lower, models_.downstream, batch);
  }
  result.loss = through_lower.loss;
  TensorList& gradients = through_lower.gradients;
  const size_t backbone = trainable_parameters(models_.lower.module()).size();
  for (size_t i = 0; i < backbone; ++i) {
    result.u.push_back(std::move(gradients[i]));
    gradients[i] = at::Tensor();
  }
  result.direct.push_back({.weight = 1, .gradient = std::move(gradients)});
  double plain_loss = 0;
  if (gamma_ != 0) {
    LossGradients plain = downstream_gradient(models_.upper, models_.downstream, batch);
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

}  // namespace bissl
