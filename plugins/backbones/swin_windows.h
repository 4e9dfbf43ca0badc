#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bissl {

/// Along one side of a map: how far it is filled up, and how far windows are moved.
struct WindowSide {
  int64_t padded = 0;  ///< a multiple of the window
  int64_t shift = 0;   ///< 0 where one window covers the side

  WindowSide(int64_t places, int64_t window, int64_t wanted_shift)
      : padded((places + window - 1) / window * window),
        shift(window >= padded ? 0 : wanted_shift) {}

  /// Of each place, after the map has been rolled by `shift`: places with different numbers were
  /// not neighbours before.
  at::Tensor parts(int64_t window) const;
};

/// (N, H, W, C) of whole windows → (N·windows, window², C).
at::Tensor cut_into_windows(const at::Tensor& x, int64_t window);

/// The inverse, for maps of height × width.
at::Tensor put_windows_together(const at::Tensor& x, int64_t window, int64_t height, int64_t width);

}  // namespace bissl
