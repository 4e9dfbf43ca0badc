#include "contrast.h"

#include "vectors.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/softmax.h>

#include <limits>

namespace bissl {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

at::Tensor diagonal_mask(int64_t n, const at::Tensor& like) {
  return at::eye(n, like.options().dtype(at::kBool).requires_grad(false));
}

}  // namespace

at::Tensor info_nce(const at::Tensor& queries, const at::Tensor& keys, double temperature) {
  const at::Tensor own = at::arange(queries.size(0), queries.options().dtype(at::kLong));
  return at::cross_entropy_loss(products(queries, keys) / temperature, own);
}

at::Tensor decoupled_contrast(const at::Tensor& first, const at::Tensor& second, double temperature,
                              std::optional<double> sigma) {
  const int64_t n = first.size(0);
  const at::Tensor rows = unit(at::cat({first, second}));
  // Neither an embedding itself nor its positive is among its negatives.
  const at::Tensor own = diagonal_mask(n, rows).repeat({2, 2});
  const at::Tensor negatives =
      (products(rows, rows) / temperature).masked_fill(own, minus_infinity).logsumexp({1});
  at::Tensor positives = (rows.narrow(0, 0, n) * rows.narrow(0, n, n)).sum(1);
  if (sigma) {
    positives = positives * (2.0 - double(n) * at::softmax(positives / *sigma, 0));
  }
  return negatives.mean() - positives.mean() / temperature;
}

at::Tensor supervised_contrast(const at::Tensor& rows, const at::Tensor& labels,
                               double temperature) {
  const at::Tensor vectors = unit(rows);
  const at::Tensor similarities = products(vectors, vectors) / temperature;
  const at::Tensor self = diagonal_mask(rows.size(0), rows);
  const at::Tensor all = similarities.masked_fill(self, minus_infinity).logsumexp({1});
  const at::Tensor positives =
      labels.unsqueeze(0).eq(labels.unsqueeze(1)).logical_and(self.logical_not()).to(rows.dtype());
  const at::Tensor attraction = (similarities * positives).sum(1) / positives.sum(1);
  return (all - attraction).mean();
}

}  // namespace bissl
