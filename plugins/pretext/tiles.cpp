#include "tiles.h"

#include <ATen/TensorIndexing.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

namespace bissl {

at::Tensor tiles_at(const at::Tensor& images, const at::Tensor& top, const at::Tensor& left,
                    int64_t height, int64_t width) {
  const auto device = images.device();
  const at::Tensor sample = at::arange(images.size(0), at::kLong).view({-1, 1, 1});
  const at::Tensor rows = top.view({-1, 1, 1}) + at::arange(height, at::kLong).view({1, -1, 1});
  const at::Tensor columns = left.view({-1, 1, 1}) + at::arange(width, at::kLong).view({1, 1, -1});
  return images.permute({0, 2, 3, 1})
      .index({sample.to(device), rows.to(device), columns.to(device)})
      .permute({0, 3, 1, 2})
      .contiguous();
}

}  // namespace bissl
