#include "stages/held_tensors.h"

#include "models/module_state.h"

namespace bissl::host {

double bytes_of_tensors(const TensorList& tensors) {
  double bytes = 0;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined() && tensor.is_cpu()) {
      bytes += static_cast<double>(tensor.numel()) * static_cast<double>(tensor.element_size());
    }
  }
  return bytes;
}

double bytes_of_copy(const torch::nn::Module& module) {
  return bytes_of_tensors(tensors_of(module_state(module)));
}

double bytes_of_gradients(const NamedTensors& parameters) {
  TensorList gradients;
  for (const auto& [name, parameter] : parameters) {
    gradients.push_back(parameter.grad());
  }
  return bytes_of_tensors(gradients);
}

}  // namespace bissl::host
