#include "variance.h"

#include "vectors.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/relu.h>

namespace bissl {
namespace {

/// Equations 1 and 2: what each dimension's deviation lacks of γ = 1, a mean.
at::Tensor lost_variance(const at::Tensor& rows) {
  constexpr double epsilon = 1e-4;
  return at::relu(1.0 - (rows.var(0) + epsilon).sqrt()).mean();
}

/// Equations 3 and 4.
at::Tensor redundancy(const at::Tensor& rows) {
  const at::Tensor centred = rows - rows.mean(0);
  const at::Tensor covariance = products(centred.t(), centred.t()) / double(rows.size(0) - 1);
  const at::Tensor others = covariance.square().sum() - covariance.diagonal().square().sum();
  return others / double(rows.size(1));
}

}  // namespace

Schema<VarianceWeights> variance_schema() {
  Schema<VarianceWeights> schema;
  schema
      .add("invariance", &VarianceWeights::invariance,
           "weight λ of the views' squared distance, a mean over samples and dimensions")
      .at_least(0);
  schema
      .add("variance", &VarianceWeights::variance,
           "weight μ of what the deviations over the batch lack of 1")
      .at_least(0);
  schema
      .add("covariance", &VarianceWeights::covariance,
           "weight ν of the squared covariances of different dimensions")
      .at_least(0);
  return schema;
}

at::Tensor variance_loss(const at::Tensor& first, const at::Tensor& second,
                         const VarianceWeights& weights) {
  return weights.invariance * (first - second).square().mean() +
         weights.variance * (lost_variance(first) + lost_variance(second)) +
         weights.covariance * (redundancy(first) + redundancy(second));
}

}  // namespace bissl
