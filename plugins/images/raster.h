#pragma once

#include "image_files.h"

#include "bissl/error.h"

#include <cstdint>
#include <memory>
#include <string_view>

namespace bissl {

/// What a decoder makes of a file, before orientation, size and channels are as they are asked for.
struct Raster {
  ImageShape shape;                   ///< 1 channel (gray), 3 (red, green, blue), or bands
  std::shared_ptr<uint8_t[]> pixels;  ///< shape.elements() bytes, channels beside each other
  /// EXIF's: 1 as it should lie; 2 … 8 else.
  int orientation = 1;
  /// The size in the file, where the decoder has made a smaller image of it.
  int64_t full_height = 0;
  int64_t full_width = 0;

  uint8_t* row(int64_t y) const { return pixels.get() + y * shape.width * shape.channels; }
};

/// A raster with room for its pixels, which are not set. Throws Error(ErrorKind::input) if the
/// memory for it is not there.
Raster make_raster(const ImageShape& shape);

/// Throws Error(ErrorKind::input) for a side below 1 or for more pixels than options.max_pixels.
void require_size(int64_t width, int64_t height, const ImageOptions& options);

// The decoders. Each throws Error(ErrorKind::input) for what it cannot read, without the file's
// name, and never returns part of an image.
Raster decode_jpeg(std::string_view bytes, const ImageOptions& options);
Raster decode_png(std::string_view bytes, const ImageOptions& options);
Raster decode_webp(std::string_view bytes, const ImageOptions& options);
Raster decode_tiff(std::string_view bytes, const ImageOptions& options);
Raster decode_bmp(std::string_view bytes, const ImageOptions& options);
Raster decode_pnm(std::string_view bytes, const ImageOptions& options);
Raster decode_gif(std::string_view bytes, const ImageOptions& options);

/// The orientation that an EXIF block (a TIFF header and its directory) names, 1 where it names
/// none or is damaged.
int exif_orientation(std::string_view exif);

}  // namespace bissl
