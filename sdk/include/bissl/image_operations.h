#pragma once

#include "bissl/export.h"
#include "bissl/image.h"

#include <cstdint>
#include <vector>

namespace bissl {

// Operations on float images with values in [0, 1], in place. Each computes what the function of
// the same name in torchvision.transforms.functional does with float tensors, up to rounding.
// Threads: any number at once on different images.

/// Exchanges left and right.
BISSL_API void flip_horizontal(Planes image);

/// factor · x, clamped to [0, 1].
BISSL_API void adjust_brightness(Planes image, double factor);

/// factor · x + (1 − factor) · m, clamped, with m the mean of the image's luminance.
BISSL_API void adjust_contrast(Planes image, double factor);

/// factor · x + (1 − factor) · luminance, clamped. A gray image stays as it is.
BISSL_API void adjust_saturation(Planes image, double factor);

/// Turns the hue by `shift` of the full circle, −0.5 … 0.5. A gray image stays as it is.
BISSL_API void adjust_hue(Planes image, double shift);

/// Sets all channels to the luminance 0.2989 R + 0.587 G + 0.114 B. A gray image stays as it is.
BISSL_API void convert_to_grayscale(Planes image);

/// Gaussian blur with reflected edges. `kernel_size` is odd; `sigma` > 0 is in pixels.
BISSL_API void gaussian_blur(Planes image, int64_t kernel_size, double sigma);

/// 1 − x where x ≥ threshold.
BISSL_API void solarize(Planes image, double threshold);

/// Moves the image's content by (down, right) pixels, which may be negative; what comes in is 0.
BISSL_API void shift(Planes image, int64_t down, int64_t right);

/// (x − mean) / std with one value per channel, or one for all channels.
BISSL_API void normalize(Planes image, const std::vector<double>& mean,
                         const std::vector<double>& std);

/// The kernel size of SimCLR's code for an image whose shorter side is `side`: about a tenth of it,
/// odd (2 ⌊⌊side / 10⌋ / 2⌋ + 1), at least 3.
BISSL_API int64_t blur_kernel_size(int64_t side);

}  // namespace bissl
