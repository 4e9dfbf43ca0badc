#include "bilevel/step_length.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace bissl::host {
namespace {

constexpr double shortest = 1.0 / 1024;
constexpr double longest = 1024;

/// What trial steps of one length found, in sums over the pairs.
struct Slopes {
  double descent = 0;    ///< −⟨g_B(θ), Δ⟩
  double curvature = 0;  ///< ⟨g_B(θ + Δ) − g_B(θ), Δ⟩
};

Slopes try_steps(const StepTrial& trial, const std::vector<TensorList>& gradients,
                 double lr_scale) {
  TensorList weights = trial.weights;
  const TensorList before = copy(weights);
  Slopes sum;
  for (int64_t pair = 0; pair < trial.pairs; ++pair) {
    const TensorList& at_start = gradients[static_cast<size_t>(pair)];
    trial.step(pair, lr_scale);
    TensorList change = trial.gradient(pair);
    const c10::NoGradGuard no_grad;
    add_scaled(change, -1.0, at_start);
    TensorList moved = copy(weights);
    add_scaled(moved, -1.0, before);
    sum.descent -= dot(at_start, moved);
    sum.curvature += dot(change, moved);
    for (size_t i = 0; i < weights.size(); ++i) {
      weights[i].copy_(before[i]);
    }
  }
  return sum;
}

}  // namespace

std::optional<double> best_step_length(const StepTrial& trial) {
  std::vector<TensorList> gradients;
  for (int64_t pair = 0; pair < trial.pairs; ++pair) {
    gradients.push_back(trial.gradient(pair));
  }
  double length = 1;
  double limit = std::numeric_limits<double>::infinity();  ///< of lengths
  std::optional<double> found;
  for (int tries = 0; tries < most_tries && length >= shortest && length <= longest; ++tries) {
    const Slopes slopes = try_steps(trial, gradients, length);
    constexpr double leap = 8;
    found.reset();
    if (!std::isfinite(slopes.descent) || !std::isfinite(slopes.curvature)) {
      limit = length / 2;
      length /= leap;
      continue;
    }
    if (slopes.descent <= 0) {
      return std::nullopt;
    }
    const double factor = slopes.curvature > 0 ? slopes.descent / slopes.curvature : leap;
    const double before = length;
    length = std::min(length * std::clamp(factor, 1 / leap, leap), limit);
    if (slopes.curvature <= 0) {  // the loss falls ever more steeply
      continue;
    }
    found = length;
    const double change = length / before;
    if (change > 0.5 && change < 2) {
      break;
    }
  }
  return length >= shortest && length <= longest ? found : std::nullopt;
}

}  // namespace bissl::host
