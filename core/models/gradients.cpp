#include "models/gradients.h"

#include <ATen/ops/zeros_like.h>
#include <torch/autograd.h>

namespace bissl {

TensorList gradients_of(const at::Tensor& loss, const TensorList& parameters) {
  TensorList gradients = torch::autograd::grad({loss}, parameters, /*grad_outputs=*/{},
                                               /*retain_graph=*/false, /*create_graph=*/false,
                                               /*allow_unused=*/true);
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) {
      gradients[i] = at::zeros_like(parameters[i]);
    }
  }
  return gradients;
}

void assign_gradients(const NamedTensors& parameters, const TensorList& gradients) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].second.mutable_grad() = gradients[i];
  }
}

double clip_norm(TensorList& gradients, double limit) {
  const double total = norm(gradients);
  if (limit > 0 && total > limit) {
    scale(gradients, limit / total);
  }
  return total;
}

}  // namespace bissl
