#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bissl {

/// A part of each image, (N, C, H, W) → (N, C, height, width). `top` and `left`, (N), int64, are
/// its corner in pixels; the part must lie within the image.
at::Tensor tiles_at(const at::Tensor& images, const at::Tensor& top, const at::Tensor& left,
                    int64_t height, int64_t width);

}  // namespace bissl
