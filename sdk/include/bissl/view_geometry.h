#pragma once

#include <array>

namespace bissl {

/// Where a view's content lies in the image that it was made of: an affine map from positions in
/// the view to positions in the image.
///
/// A position is (x, y) in pixels from the top left corner, x to the right and y down. The pixel of
/// column i and row j covers i … i + 1 and j … j + 1; its centre is (i + ½, j + ½).
struct ViewGeometry {
  double xx = 1;  ///< x of the image is xx·x + xy·y + x0
  double xy = 0;  ///< see xx
  double x0 = 0;  ///< see xx
  double yx = 0;  ///< y of the image is yx·x + yy·y + y0
  double yy = 1;  ///< see yx
  double y0 = 0;  ///< see yx

  /// The position in the image of a position in the view.
  std::array<double, 2> operator()(double x, double y) const {
    return {xx * x + xy * y + x0, yx * x + yy * y + y0};
  }
  /// Equal in all six.
  friend bool operator==(const ViewGeometry&, const ViewGeometry&) = default;
};

/// The geometry of a view of a view: `outer` leads from the first view to the image, `inner` from
/// the second view to the first.
inline ViewGeometry operator*(const ViewGeometry& outer, const ViewGeometry& inner) {
  const auto [x0, y0] = outer(inner.x0, inner.y0);
  return {.xx = outer.xx * inner.xx + outer.xy * inner.yx,
          .xy = outer.xx * inner.xy + outer.xy * inner.yy,
          .x0 = x0,
          .yx = outer.yx * inner.xx + outer.yy * inner.yx,
          .yy = outer.yx * inner.xy + outer.yy * inner.yy,
          .y0 = y0};
}

/// Of an image of this width that is exchanged left and right.
inline ViewGeometry flipped(double width) { return {.xx = -1, .x0 = width}; }

}  // namespace bissl
