#include "models/gradients.h"

#include "models/divided.h"
#include "models/gradient_buckets.h"

#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <torch/autograd.h>

#include <numeric>
#include <set>

namespace bissl::host {

void own_memory(TensorList& tensors, const TensorList& others) {
  std::set<const void*> taken;
  for (const at::Tensor& other : others) {
    taken.insert(other.data_ptr());
  }
  for (at::Tensor& tensor : tensors) {
    if (!tensor.is_non_overlapping_and_dense() || !taken.insert(tensor.data_ptr()).second) {
      tensor = tensor.clone(at::MemoryFormat::Contiguous);
    }
  }
}

TensorList gradients_of(const at::Tensor& loss, const TensorList& parameters) {
  if (const auto buckets = buckets_of(parameters); !buckets.empty()) {
    return mean_gradients(loss, parameters, buckets);
  }
  TensorList gradients = torch::autograd::grad({loss}, parameters, /*grad_outputs=*/{},
                                               /*retain_graph=*/false, /*create_graph=*/false,
                                               /*allow_unused=*/true);
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) {
      gradients[i] = at::zeros_like(parameters[i]);
    }
  }
  own_memory(gradients);
  if (batches_are_divided()) {  // then they are contributions, and each process gets the mean
    average_over_processes(gradients);
  }
  return gradients;
}

double add_pull(TensorList& gradients, const TensorList& weights, const TensorList& anchor,
                double lambda) {
  const at::NoGradGuard no_grad;
  TensorList squares;
  for (size_t i = 0; i < anchor.size(); ++i) {
    if (!anchor[i].defined()) {
      continue;
    }
    const at::Tensor difference = weights[i].sub(anchor[i]);
    const at::Tensor row = difference.reshape(-1);
    squares.push_back(row.dot(row));
    gradients[i] = gradients[i].add(difference, lambda);
  }
  if (squares.empty()) {
    return 0;
  }
  // All at once: a GPU is waited for once.
  const at::Tensor doubles = at::stack(squares).to(at::kCPU).to(at::kDouble);
  const double* const values = doubles.data_ptr<double>();
  return 0.5 * lambda * std::accumulate(values, values + squares.size(), 0.0);
}

void assign_gradients(const NamedTensors& parameters, const TensorList& gradients) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].tensor.mutable_grad() = gradients[i];
  }
}

double clip_factor(double norm, double limit, double guard) {
  return limit > 0 && norm + guard > limit ? limit / (norm + guard) : 1.0;
}

double clip_norm(TensorList& gradients, double limit, double guard) {
  const double total = norm(gradients);
  if (const double factor = clip_factor(total, limit, guard); factor != 1.0) {
    scale(gradients, factor);
  }
  return total;
}

}  // namespace bissl::host
