#pragma once

#include "bissl/planned_view.h"

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bissl::host {

// The operations of a PlannedView on many images at once, on their device. Numbers of an operation
// are a row for each image, float64 and on the same device. Nothing is waited for.

/// How many numbers resampled() needs for a direction of each image.
constexpr int64_t axis_numbers = 6;

/// The parts of images that views show, scaled to (height, width): (N, C, height, width), float32.
/// `images` is (N, H, W, C): bytes, of which 255 becomes 1, or floats. A row of `vertical` and
/// `horizontal`, (N, axis_numbers), has of one direction: the first pixel of the part, its length,
/// its length over that after scaling, 1 or -1 where it is mirrored, the place of the first sample,
/// counted from half a sample before the part, from which that sign leads on, and the reciprocal of
/// the width of the filter.
at::Tensor resampled(const at::Tensor& images, const at::Tensor& vertical,
                     const at::Tensor& horizontal, int64_t height, int64_t width);

/// Makes one kind of change of `images`, (N, C, H, W), float32, where they are. A row of `numbers`
/// has those of PlannedChange::Kind. `largest_kernel`, for blurs: of their sizes the largest one.
void change_images(PlannedChange::Kind kind, const at::Tensor& images, const at::Tensor& numbers,
                   int64_t largest_kernel);

}  // namespace bissl::host
