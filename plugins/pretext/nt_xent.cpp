#include "nt_xent.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/matmul.h>
#include <c10/core/GradMode.h>

#include <limits>

namespace bissl {

at::Tensor nt_xent(const at::Tensor& first, const at::Tensor& second, double temperature) {
  constexpr double smallest_norm = 1e-12;
  const int64_t n = first.size(0);
  const at::Tensor both = at::cat({first, second});
  const at::Tensor norms = both.norm(2, {1}, /*keepdim=*/true).clamp_min(smallest_norm);
  const at::Tensor unit = both / norms;
  at::Tensor similarities = at::matmul(unit, unit.t());
  similarities.div_(temperature);
  {
    // An embedding is not its own negative. The softmax is 0 there, and so are its derivatives of
    // any order: to record the change would add copies of the matrix to each backward pass, no
    // numbers.
    const c10::NoGradGuard no_grad;
    similarities.fill_diagonal_(-std::numeric_limits<double>::infinity());
  }
  const at::Tensor rows = at::arange(2 * n, similarities.options().dtype(at::kLong));
  const at::Tensor positives = (rows + n).remainder(2 * n);
  return at::cross_entropy_loss(similarities, positives);
}

}  // namespace bissl
