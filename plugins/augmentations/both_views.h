#pragma once

#include "bissl/image_operations.h"
#include "bissl/planned_view.h"

#include <cstdint>
#include <vector>

// A recipe is written once for what is made now, `Planes`, and for what is planned, `PlannedView`:
// the operations of bissl/image_operations.h under the same names for both.
namespace bissl {

inline const ImageShape& shape_of(const Planes& view) { return view.shape; }
inline ImageShape shape_of(const PlannedView& view) { return view.shape(); }

inline void flip_horizontal(PlannedView& view) { view.flip_horizontal(); }
inline void shift(PlannedView& view, int64_t down, int64_t right) { view.shift(down, right); }
inline void adjust_brightness(PlannedView& view, double factor) { view.adjust_brightness(factor); }
inline void adjust_contrast(PlannedView& view, double factor) { view.adjust_contrast(factor); }
inline void adjust_saturation(PlannedView& view, double factor) { view.adjust_saturation(factor); }
inline void adjust_hue(PlannedView& view, double shift) { view.adjust_hue(shift); }
inline void convert_to_grayscale(PlannedView& view) { view.convert_to_grayscale(); }
inline void gaussian_blur(PlannedView& view, int64_t kernel_size, double sigma) {
  view.gaussian_blur(kernel_size, sigma);
}
inline void solarize(PlannedView& view, double threshold) { view.solarize(threshold); }
inline void normalize(PlannedView& view, const std::vector<double>& mean,
                      const std::vector<double>& std) {
  view.normalize(mean, std);
}

}  // namespace bissl
