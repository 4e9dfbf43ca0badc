#include "tiles.h"
#include "on_device.h"

#include <ATen/TensorIndexing.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

namespace bissl {

at::Tensor tiles_at(const at::Tensor& images, const at::Tensor& top, const at::Tensor& left,
                    int64_t height, int64_t width) {
  const at::TensorOptions there = images.options().dtype(at::kLong).requires_grad(false);
  const at::Tensor sample = at::arange(images.size(0), there).view({-1, 1, 1});
  const at::Tensor rows =
      on_device_of(images, top).view({-1, 1, 1}) + at::arange(height, there).view({1, -1, 1});
  const at::Tensor columns =
      on_device_of(images, left).view({-1, 1, 1}) + at::arange(width, there).view({1, 1, -1});
  return images.permute({0, 2, 3, 1})
      .index({sample, rows, columns})
      .permute({0, 3, 1, 2})
      .contiguous();
}

}  // namespace bissl
