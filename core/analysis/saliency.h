#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bissl::host {

/// Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391): where an image speaks for a class. `map`
/// (N, C, h, w) is a network's last map and `gradient` that of each image's logit by it. The
/// channels are weighted by their gradients' means over all places, summed, and cut off below 0.
/// Each image is divided by its largest value, so that it lies in 0 … 1; one without a value above
/// 0 is 0. Returns (N, height, width), float, on the CPU: enlarged by bilinear interpolation.
/// Throws Error(run) where a map or a gradient is not finite.
at::Tensor grad_cam(const at::Tensor& map, const at::Tensor& gradient, int64_t height,
                    int64_t width);

}  // namespace bissl::host
