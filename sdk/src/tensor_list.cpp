#include "bissl/tensor_list.h"

#include <ATen/ops/all.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <numeric>

namespace bissl {
namespace {

/// Tensors of one number each as one on the CPU: a GPU, which works behind the program, is waited
/// for once.
at::Tensor on_cpu(const TensorList& numbers) { return at::stack(numbers).to(at::kCPU); }

}  // namespace

double dot(const TensorList& x, const TensorList& y) {
  const c10::NoGradGuard no_grad;
  if (x.empty()) {
    return 0.0;
  }
  TensorList products;
  products.reserve(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    products.push_back(x[i].reshape(-1).dot(y[i].reshape(-1)));
  }
  const at::Tensor doubles = on_cpu(products).to(at::kDouble);
  const double* const values = doubles.data_ptr<double>();
  return std::accumulate(values, values + products.size(), 0.0);
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
  if (x.empty()) {
    return true;
  }
  TensorList finite;
  finite.reserve(x.size());
  for (const at::Tensor& tensor : x) {
    finite.push_back(at::isfinite(tensor).all());
  }
  return on_cpu(finite).all().item<bool>();
}

int64_t count(const TensorList& x) {
  int64_t elements = 0;
  for (const at::Tensor& tensor : x) {
    elements += tensor.numel();
  }
  return elements;
}

at::Tensor flatten(const TensorList& x) {
  TensorList rows;
  for (const at::Tensor& tensor : x) {
    rows.push_back(tensor.detach().reshape(-1).to(at::kCPU, at::kDouble));
  }
  return at::cat(rows);
}

TensorList unflatten(const at::Tensor& flat, const TensorList& like) {
  TensorList list;
  int64_t start = 0;
  for (const at::Tensor& tensor : like) {
    list.push_back(
        flat.narrow(0, start, tensor.numel()).reshape(tensor.sizes()).to(tensor.options()).clone());
    start += tensor.numel();
  }
  return list;
}

TensorList unit_vector(int64_t index, const TensorList& like) {
  TensorList unit = zeros_like(like);
  for (at::Tensor& tensor : unit) {
    if (index < tensor.numel()) {
      tensor.view(-1)[index].fill_(1.0);
      break;
    }
    index -= tensor.numel();
  }
  return unit;
}

}  // namespace bissl
