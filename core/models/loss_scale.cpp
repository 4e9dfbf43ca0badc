#include "models/loss_scale.h"

#include "models/gradients.h"
#include "models/precision.h"

#include <c10/core/GradMode.h>

#include <algorithm>

namespace bissl::host {

bool LossScale::accept(bool finite) {
  skipped_ = !finite;
  if (!finite) {
    state_ = {.value = std::max(least, state_.value / 2)};
  } else if (++state_.good_steps == growth_steps) {
    state_ = {.value = 2 * state_.value};
  }
  return finite;
}

TensorList training_gradients_of(const at::Tensor& loss, const TensorList& parameters) {
  const LossScale* const of_losses = loss_scale();
  if (of_losses == nullptr || of_losses->value() == 1) {
    return gradients_of(loss, parameters);
  }
  TensorList gradients = gradients_of(loss.mul(of_losses->value()), parameters);
  scale(gradients, 1 / of_losses->value());
  return gradients;
}

}  // namespace bissl::host
