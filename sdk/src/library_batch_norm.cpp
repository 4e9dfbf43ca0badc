#include "library_batch_norm.h"

#include "bissl/divided_batch.h"
#include "bissl/layers.h"

#include <ATen/ops/batch_norm_ops.h>
#include <ATen/ops/instance_norm_ops.h>
#include <c10/core/DispatchKeySet.h>
#include <torch/library.h>

#include <utility>
#include <vector>

// LibTorch computes both functions below by others, which have derivatives. A function that is
// registered for a device's autograd is called in their place; the keys below autograd lead to what
// LibTorch computes.

namespace bissl {
namespace {

using MaybeTensor = c10::optional<at::Tensor>;

at::Tensor or_undefined(const MaybeTensor& tensor) { return tensor.value_or(at::Tensor()); }

/// aten::batch_norm.
at::Tensor over_all_parts(c10::DispatchKeySet keys, const at::Tensor& input,
                          const MaybeTensor& weight, const MaybeTensor& bias,
                          const MaybeTensor& running_mean, const MaybeTensor& running_var,
                          bool training, double momentum, double epsilon, bool cudnn) {
  if (training && batch_is_divided() && input.dim() >= 2) {
    return layers::batch_norm(input, or_undefined(weight), or_undefined(bias),
                              {.running_mean = or_undefined(running_mean),
                               .running_var = or_undefined(running_var),
                               .training = true,
                               .momentum = momentum,
                               .epsilon = epsilon})
        .to(input.scalar_type());
  }
  return at::_ops::batch_norm::redispatch(keys & c10::after_ADInplaceOrView_keyset, input, weight,
                                          bias, running_mean, running_var, training, momentum,
                                          epsilon, cudnn);
}

/// aten::instance_norm, for which LibTorch calls at::batch_norm with the samples as channels: there
/// are no other parts of these.
at::Tensor of_each_sample(c10::DispatchKeySet keys, const at::Tensor& input,
                          const MaybeTensor& weight, const MaybeTensor& bias,
                          const MaybeTensor& running_mean, const MaybeTensor& running_var,
                          bool by_input, double momentum, double epsilon, bool cudnn) {
  const DividedBatch whole(nullptr);
  return at::_ops::instance_norm::redispatch(keys & c10::after_ADInplaceOrView_keyset, input,
                                             weight, bias, running_mean, running_var, by_input,
                                             momentum, epsilon, cudnn);
}

std::vector<torch::Library> registered() {
  std::vector<torch::Library> libraries;
  for (const c10::DispatchKey device :
       {c10::DispatchKey::AutogradCPU, c10::DispatchKey::AutogradCUDA,
        c10::DispatchKey::AutogradPrivateUse1}) {
    torch::Library library(torch::Library::IMPL, "aten", device, "library_batch_norm.cpp", 0);
    library.impl("batch_norm", TORCH_FN(over_all_parts));
    library.impl("instance_norm", TORCH_FN(of_each_sample));
    libraries.push_back(std::move(library));
  }
  return libraries;
}

}  // namespace

void divide_library_batch_norm() {
  // Kept to the end: plugins may normalise for as long.
  static const auto* const libraries = new std::vector<torch::Library>(registered());
  static_cast<void>(libraries);
}

}  // namespace bissl
