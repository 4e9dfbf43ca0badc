#include "bissl/tensor_list.h"

#include <ATen/ops/all.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

namespace bissl {

double dot(const TensorList& x, const TensorList& y) {
  const c10::NoGradGuard no_grad;
  double sum = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += x[i].reshape(-1).dot(y[i].reshape(-1)).item<double>();
  }
  return sum;
}

double norm(const TensorList& x) { return std::sqrt(dot(x, x)); }

void add_scaled(TensorList& x, double a, const TensorList& y) {
  const c10::NoGradGuard no_grad;
  for (size_t i = 0; i < x.size(); ++i) {
    x[i].add_(y[i], a);
  }
}

void scale(TensorList& x, double a) {
  const c10::NoGradGuard no_grad;
  for (at::Tensor& tensor : x) {
    tensor.mul_(a);
  }
}

TensorList copy(const TensorList& x) {
  const c10::NoGradGuard no_grad;
  TensorList copies;
  copies.reserve(x.size());
  for (const at::Tensor& tensor : x) {
    copies.push_back(tensor.detach().clone());
  }
  return copies;
}

TensorList zeros_like(const TensorList& x) {
  TensorList zeros = copy(x);
  for (at::Tensor& tensor : zeros) {
    tensor.zero_();
  }
  return zeros;
}

bool all_finite(const TensorList& x) {
  const c10::NoGradGuard no_grad;
  return std::all_of(x.begin(), x.end(),
                     [](const at::Tensor& t) { return at::isfinite(t).all().item<bool>(); });
}

}  // namespace bissl
