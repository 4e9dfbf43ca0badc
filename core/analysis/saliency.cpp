#include "analysis/saliency.h"

#include "bissl/error.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/upsample_bilinear2d.h>

#include <algorithm>
#include <array>

namespace bissl::host {

at::Tensor grad_cam(const at::Tensor& map, const at::Tensor& gradient, int64_t height,
                    int64_t width) {
  const at::Tensor of_channels =
      gradient.detach().to(at::kCPU, at::kDouble).mean(at::IntArrayRef{2, 3}, /*keepdim=*/true);
  const at::Tensor sums = map.detach()
                              .to(at::kCPU, at::kDouble)
                              .mul(of_channels)
                              .sum(at::IntArrayRef{1}, /*keepdim=*/true);
  if (!at::isfinite(sums).all().item<bool>()) {
    fail_run(
        "the last feature map, or the gradient of a class's score by it, is not finite: the "
        "training of the network or of its head diverged");
  }
  at::Tensor heat = sums.clamp_min(0);
  const at::Tensor largest = heat.amax(at::IntArrayRef{2, 3}, /*keepdim=*/true);
  heat = heat.div(largest.masked_fill(largest.le(0), 1.0));
  const std::array<int64_t, 2> size = {height, width};
  return at::upsample_bilinear2d(heat, size, /*align_corners=*/false)
      .squeeze(1)
      .to(at::kFloat)
      .contiguous();
}

}  // namespace bissl::host
