#include "analysis/measured.h"

#include "bissl/error.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>

namespace bissl::host {

at::Tensor checked_features(const at::Tensor& features) {
  if (!features.defined() || features.dim() != 2 || features.numel() == 0) {
    fail_input("features must be a matrix with a row and a column at least");
  }
  const at::Tensor numbers = features.detach().to(at::kCPU, at::kDouble).contiguous();
  if (!at::isfinite(numbers).all().item<bool>()) {
    fail_run("features are not finite: the training of the network that they are from diverged");
  }
  return numbers;
}

at::Tensor unit_rows(const at::Tensor& features) {
  constexpr double smallest = 1e-12;
  return features.div(at::linalg_vector_norm(features, 2, at::IntArrayRef{1}, /*keepdim=*/true)
                          .clamp_min(smallest));
}

at::Tensor centred(const at::Tensor& features) {
  return features.sub(features.mean(at::IntArrayRef{0}, /*keepdim=*/true));
}

}  // namespace bissl::host
