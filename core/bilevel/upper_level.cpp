#include "bilevel/upper_level.h"

#include "base/phase.h"

#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <chrono>

namespace bissl::host {
namespace {

double cosine(const TensorList& x, const TensorList& y, double x_norm, double y_norm) {
  return x_norm > 0 && y_norm > 0 ? dot(x, y) / (x_norm * y_norm) : 0.0;
}

UpperStep report_on(OuterGradient& outer, const HypergradientSolution& solution) {
  UpperStep report;
  report.loss = outer.loss;
  report.values = std::move(outer.values);
  report.u_norm = norm(outer.u);
  report.v_norm = norm(solution.v);
  report.cosine = cosine(outer.u, solution.v, report.u_norm, report.v_norm);
  report.status = solution.status;
  report.iterations = solution.iterations;
  report.hessian_products = solution.hessian_products;
  report.gradients = solution.gradients;
  report.relative_residual = solution.relative_residual;
  return report;
}

/// sum + Σ weight·gradient, where undefined tensors are zero. Those of `sum` are changed in place.
TensorList total(TensorList sum, const std::vector<WeightedGradient>& terms,
                 const NamedTensors& parameters) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    for (const WeightedGradient& term : terms) {
      const at::Tensor& gradient = term.gradient[i];
      if (!gradient.defined()) {
        continue;
      }
      if (sum[i].defined()) {
        sum[i].add_(gradient, term.weight);
      } else {
        sum[i] = gradient.mul(term.weight);
      }
    }
    if (!sum[i].defined()) {
      sum[i] = at::zeros_like(parameters[i].tensor);
    }
  }
  return sum;
}

void add(TensorList& sum, const TensorList& part) {
  for (size_t i = 0; i < sum.size(); ++i) {
    if (sum[i].defined()) {
      sum[i].add_(part[i]);
    }
  }
}

void divide(TensorList& sum, double parts) {
  for (at::Tensor& tensor : sum) {
    if (tensor.defined()) {
      tensor.div_(parts);
    }
  }
}

/// Scales the defined tensors down to the joint norm `limit` where theirs is larger. Returns the
/// factor.
double shorten(TensorList& pulled, double limit) {
  TensorList defined;
  for (const at::Tensor& tensor : pulled) {
    if (tensor.defined()) {
      defined.push_back(tensor);
    }
  }
  const double length = limit > 0 ? norm(defined) : 0;
  if (!(length > limit)) {
    return 1;
  }
  scale(defined, limit / length);
  return limit / length;
}

/// The mean of OuterProblem::direct over the batches. A term of one batch is a term of all.
OuterGradient mean_direct(OuterProblem& problem, const UpperLevel::Batches& batches,
                          uint64_t noise_seed) {
  OuterGradient mean = problem.direct(batches.next(), noise_seed);
  if (batches.parts == 1) {
    return mean;
  }
  const c10::NoGradGuard no_grad;
  for (int64_t i = 1; i < batches.parts; ++i) {
    const OuterGradient part = problem.direct(batches.next(), noise_seed);
    mean.loss += part.loss;
    add(mean.u, part.u);
    for (size_t k = 0; k < mean.direct.size(); ++k) {
      add(mean.direct[k].gradient, part.direct[k].gradient);
    }
    for (size_t k = 0; k < mean.values.size(); ++k) {
      mean.values[k].second += part.values[k].second;
    }
  }
  const auto parts = static_cast<double>(batches.parts);
  mean.loss /= parts;
  divide(mean.u, parts);
  for (WeightedGradient& term : mean.direct) {
    divide(term.gradient, parts);
  }
  for (auto& [name, value] : mean.values) {
    value /= parts;
  }
  return mean;
}

}  // namespace

UpperLevel::UpperLevel(OuterProblem& problem, Hypergradient& hypergradient, Optimizer& optimizer,
                       double max_grad_norm, double grad_norm_guard)
    : problem_(problem),
      hypergradient_(hypergradient),
      step_(problem.parameters(), optimizer,
            {.max_grad_norm = max_grad_norm,
             .grad_norm_guard = grad_norm_guard,
             .name = "the upper level",
             .advice = "Try a smaller upper learning rate or more damping"}) {}

UpperGradient UpperLevel::gradient(const Batches& batches, ImplicitSystem& system,
                                   uint64_t noise_seed, const Observer& observe) {
  Phase outside(upper_phase);
  OuterGradient outer = mean_direct(problem_, batches, noise_seed);
  outside.end();
  const c10::NoGradGuard no_grad;
  Phase solving(solve_phase);
  const auto begin = std::chrono::steady_clock::now();
  const HypergradientSolution solution = hypergradient_.solve(outer.u, system);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  solving.end();
  UpperGradient result;
  result.report = report_on(outer, solution);
  result.report.solve_seconds = taken.count();
  if (observe) {
    observe(outer.u, solution);
  }
  const Phase pulled_back(upper_phase);
  const double weight = system.weight() + solution.damping.value_or(0.0);
  TensorList pulled = problem_.pull_back(solution.v, weight);
  result.report.guard = shorten(pulled, limit_);
  result.values = total(std::move(pulled), outer.direct, problem_.parameters());
  return result;
}

UpperStep UpperLevel::step(const Batches& batches, ImplicitSystem& system, uint64_t noise_seed,
                           double lr_scale, const Observer& observe) {
  UpperGradient gradient = this->gradient(batches, system, noise_seed, observe);
  UpperStep report = std::move(gradient.report);
  report.gradient_norm = step_.take({report.loss, std::move(gradient.values)}, lr_scale, {},
                                    fmt::format(" (solve: {})", to_string(report.status)));
  return report;
}

}  // namespace bissl::host
