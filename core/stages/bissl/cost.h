#pragma once

#include "stages/bissl/parts.h"
#include "stages/match.h"

namespace bissl::host {

/// What a bissl stage's training takes. `products` and `gradients` are those of the solves, counted
/// in batches of the Hessian.
inline TrainingCost bissl_cost(const BisslParts& parts, double products, double gradients) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  // An image of the upper level has one view, of the lower level several.
  const double views = number(static_cast<int64_t>(parts.lower.source->view_shapes().size()));
  const double passes = parts.options.gamma == 0 ? 1 : 2;
  TrainingCost cost;
  cost.images = number(parts.lower.steps) * number(parts.lower_options.step_samples());
  cost.gradient_images =
      cost.images + (2 * products + gradients) * number(parts.hessian_batch()) +
      (passes * number(parts.upper.steps) * number(parts.upper_options.step_samples()) +
       number(parts.head_warmup.steps) * number(parts.upper_options.batch)) /
          views;
  return cost;
}

}  // namespace bissl::host
