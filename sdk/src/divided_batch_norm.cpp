#include "divided_batch_norm.h"

#include "bissl/divided_batch.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/var_mean.h>
#include <c10/core/GradMode.h>

#include <tuple>

namespace bissl::layers {
namespace {

void move_running(const at::Tensor& running, const at::Tensor& batch, double momentum) {
  if (running.defined()) {
    at::Tensor kept = running.detach();
    kept.mul_(1 - momentum).add_(batch.detach().to(running.scalar_type()), momentum);
  }
}

}  // namespace

// Of the parts k with n_k values in a channel, means μ_k and variances σ_k², M = Σ n_k:
//   μ = Σ n_k·μ_k/M,   σ² = Σ n_k·(σ_k² + μ_k²)/M − μ²,
// in double precision, where the difference loses nothing. One sum over the processes gives all.
at::Tensor divided_batch_norm(const at::Tensor& input, const at::Tensor& weight,
                              const at::Tensor& bias, const BatchNormState& state) {
  const int64_t channels = input.size(1);
  std::vector<int64_t> reduced{0};
  std::vector<int64_t> shape(size_t(input.dim()), 1);
  shape[1] = channels;
  for (int64_t d = 2; d < input.dim(); ++d) {
    reduced.push_back(d);
  }
  const double own = double(input.numel()) / double(channels);
  const auto [own_variance, own_mean] =
      at::var_mean(input, reduced, /*unbiased=*/false, /*keepdim=*/false);
  const at::Tensor own_mu = own_mean.to(at::kDouble);
  const at::Tensor squares = own_variance.to(at::kDouble) + own_mu * own_mu;
  const at::Tensor sums =
      sum_over_parts(at::cat({own_mu * own, squares * own, at::full({1}, own, own_mu.options())}));
  const double count = sums[2 * channels].item<double>();
  TORCH_CHECK(count > 1, "batch_norm wants more than one value for each channel in training");
  const at::Tensor mean = sums.narrow(0, 0, channels) / count;
  const at::Tensor variance =
      (sums.narrow(0, channels, channels) / count - mean * mean).clamp_min(0);
  const at::Tensor deviation = at::rsqrt(variance + state.epsilon);
  const at::Tensor scale = weight.defined() ? weight.to(at::kDouble) * deviation : deviation;
  const at::Tensor shift = bias.defined() ? bias.to(at::kDouble) - mean * scale : -mean * scale;
  {
    const c10::NoGradGuard no_grad;
    move_running(state.running_mean, mean, state.momentum);
    move_running(state.running_var, variance * (count / (count - 1)), state.momentum);
  }
  const auto type = input.scalar_type();
  return input * scale.to(type).view(shape) + shift.to(type).view(shape);
}

}  // namespace bissl::layers
