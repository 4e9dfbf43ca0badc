#include "sinkhorn.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/logsumexp.h>

namespace bissl {

at::Tensor sinkhorn(const at::Tensor& similarities, double epsilon, int64_t iterations) {
  at::Tensor logarithms = similarities / epsilon;
  for (int64_t i = 0; i < iterations; ++i) {
    logarithms = logarithms - logarithms.logsumexp({0}, /*keepdim=*/true);
    logarithms = logarithms - logarithms.logsumexp({1}, /*keepdim=*/true);
  }
  return logarithms.exp();
}

}  // namespace bissl
