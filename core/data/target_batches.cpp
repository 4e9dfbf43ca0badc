#include "data/target_batches.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

int64_t category_at(const Image& mask, double x, double y) {
  const double column = std::floor(x);
  const double row = std::floor(y);
  // Written so that a position that is no number is beside the image.
  const bool inside = column >= 0 && column < static_cast<double>(mask.shape.width) && row >= 0 &&
                      row < static_cast<double>(mask.shape.height);
  return inside ? mask.pixels[static_cast<int64_t>(row) * mask.shape.width +
                              static_cast<int64_t>(column)]
                : not_counted_pixel;
}

void write_mask(const Image& mask, const ViewGeometry& geometry, at::Tensor output) {
  int64_t* next = output.data_ptr<int64_t>();
  for (int64_t row = 0; row < output.size(0); ++row) {
    for (int64_t column = 0; column < output.size(1); ++column) {
      const auto [x, y] =
          geometry(static_cast<double>(column) + 0.5, static_cast<double>(row) + 0.5);
      *next++ = category_at(mask, x, y);
    }
  }
}

}  // namespace

TargetBatch empty_targets(const TargetSpec& spec, int64_t count, const ImageShape& view,
                          bool pinned) {
  const auto numbers = [pinned](at::ScalarType type) {
    return at::TensorOptions(type).pinned_memory(pinned);
  };
  switch (spec.kind) {
    case TargetKind::none:
      break;
    case TargetKind::category:
      return {at::empty({count}, numbers(at::kLong))};
    case TargetKind::multi_label:
    case TargetKind::values:
      return {at::empty({count, spec.width}, numbers(at::kFloat))};
    case TargetKind::mask:
      return {at::empty({count, view.height, view.width}, numbers(at::kLong))};
  }
  return {};
}

void write_target(const TargetSpec& spec, const Target& target, const ViewGeometry& geometry,
                  int64_t place, TargetBatch& batch) {
  switch (spec.kind) {
    case TargetKind::none:
      break;
    case TargetKind::category:
      batch.dense.data_ptr<int64_t>()[place] = target.category;
      break;
    case TargetKind::multi_label:
    case TargetKind::values:
      std::copy(target.values.begin(), target.values.end(),
                batch.dense.data_ptr<float>() + place * spec.width);
      break;
    case TargetKind::mask:
      write_mask(target.mask, geometry, batch.dense[place]);
      break;
  }
}

}  // namespace bissl::host
