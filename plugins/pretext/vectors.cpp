#include "vectors.h"

#include "bissl/error.h"

#include <ATen/TensorOperators.h>

namespace bissl {

at::Tensor unit(const at::Tensor& rows) {
  constexpr double smallest_norm = 1e-12;
  return rows / rows.norm(2, {1}, /*keepdim=*/true).clamp_min(smallest_norm);
}

at::Tensor products(const at::Tensor& rows, const at::Tensor& others) {
  return rows.matmul(others.t());
}

at::Tensor cosines(const at::Tensor& rows, const at::Tensor& others) {
  return (unit(rows) * unit(others)).sum(1);
}

void require_two_samples(const at::Tensor& view, const char* does) {
  if (view.size(0) < 2) {
    fail_input("{}, so it needs at least 2; found {}", does, view.size(0));
  }
}

}  // namespace bissl
