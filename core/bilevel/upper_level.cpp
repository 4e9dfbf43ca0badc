#include "bilevel/upper_level.h"

#include "bilevel/diverged.h"
#include "models/attribution.h"
#include "models/evaluation_guard.h"
#include "models/gradients.h"
#include "models/module_state.h"

#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

/// A loss and its gradients in the backbone's parameters and the head's.
struct TwoPartGradient {
  double loss = 0;
  TensorList backbone;
  TensorList head;
};

TwoPartGradient downstream_gradient(Backbone& backbone, Downstream& downstream,
                                    const at::Tensor& images, const TargetBatch& targets) {
  const c10::AutoGradMode grad(true);
  const TensorList backbone_parameters = tensors_of(trainable_parameters(backbone.module()));
  TensorList all = backbone_parameters;
  for (const auto& entry : trainable_parameters(downstream.module())) {
    all.push_back(entry.second);
  }
  return in_gradient(downstream, backbone, [&]() -> TwoPartGradient {
    const at::Tensor loss = downstream.loss(downstream.forward(backbone.forward(images)), targets);
    const TensorList gradients = gradients_of(loss, all);
    const auto middle = gradients.begin() + static_cast<int64_t>(backbone_parameters.size());
    return {loss.item<double>(), {gradients.begin(), middle}, {middle, gradients.end()}};
  });
}

double cosine(const TensorList& x, const TensorList& y, double x_norm, double y_norm) {
  return x_norm > 0 && y_norm > 0 ? dot(x, y) / (x_norm * y_norm) : 0.0;
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

UpperLevel::UpperLevel(Models models, Hypergradient& hypergradient, Optimizer& optimizer,
                       double gamma, double max_grad_norm)
    : models_(models),
      hypergradient_(hypergradient),
      optimizer_(optimizer),
      gamma_(gamma),
      max_grad_norm_(max_grad_norm) {}

UpperGradient UpperLevel::gradient(const at::Tensor& images, const TargetBatch& targets,
                                   LowerProblem& lower, uint64_t noise_seed) {
  TwoPartGradient through_lower;
  {
    const EvaluationGuard guard({&models_.lower.module(), &models_.downstream.module()},
                                noise_seed);
    through_lower = downstream_gradient(models_.lower, models_.downstream, images, targets);
  }
  const c10::NoGradGuard no_grad;
  const TensorList& u = through_lower.backbone;
  HypergradientSolution solution = hypergradient_.solve(u, lower);

  UpperGradient result;
  UpperStep& report = result.report;
  report.loss = through_lower.loss;
  report.u_norm = norm(u);
  report.v_norm = norm(solution.v);
  report.cosine = cosine(u, solution.v, report.u_norm, report.v_norm);
  report.status = solution.status;
  report.iterations = solution.iterations;
  report.hessian_products = solution.hessian_products;
  report.gradients = solution.gradients;
  report.relative_residual = solution.relative_residual;
  if (observer_) {
    observer_(u, solution.v);
  }
  result.backbone = std::move(solution.v);
  result.head = std::move(through_lower.head);
  if (gamma_ != 0) {
    const TwoPartGradient plain =
        downstream_gradient(models_.upper, models_.downstream, images, targets);
    report.plain_loss = plain.loss;
    add_scaled(result.backbone, gamma_, plain.backbone);
    add_scaled(result.head, gamma_, plain.head);
  }
  return result;
}

UpperStep UpperLevel::step(const at::Tensor& images, const TargetBatch& targets,
                           LowerProblem& lower, uint64_t noise_seed, double rate) {
  UpperGradient gradient = this->gradient(images, targets, lower, noise_seed);
  const c10::NoGradGuard no_grad;
  TensorList all = std::move(gradient.backbone);
  all.insert(all.end(), gradient.head.begin(), gradient.head.end());
  UpperStep report = gradient.report;
  report.gradient_norm = clip_norm(all, max_grad_norm_);
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
    throw Diverged(
        fmt::format("the upper level diverged: loss {}, gradient norm {} (solve: {}). Try a "
                    "smaller upper learning rate or more damping",
                    report.loss, report.gradient_norm, to_string(report.status)));
  }
  assign_gradients(upper_parameters(models_.upper, models_.downstream), all);
  optimizer_.step(rate);
  return report;
}

}  // namespace bissl
