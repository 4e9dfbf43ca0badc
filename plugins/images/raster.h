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
  std::shared_ptr<uint8_t[]> pixels;  ///< shape.elements() samples, channels beside each other
  PixelType type = PixelType::uint8;  ///< of the samples
  /// EXIF's: 1 as it should lie; 2 … 8 else.
  int orientation = 1;
  /// The size in the file, where the decoder has made a smaller image of it.
  int64_t full_height = 0;
  int64_t full_width = 0;

  bool wide() const { return type == PixelType::uint16; }
  /// The size of a pixel in bytes.
  int64_t pixel_size() const { return shape.channels * (wide() ? 2 : 1); }
  /// The number of pixels.
  int64_t area() const { return shape.height * shape.width; }
  uint8_t* row(int64_t y) const { return pixels.get() + y * shape.width * pixel_size(); }
  /// The samples as what they are: uint8_t or uint16_t.
  template <class Sample>
  Sample* samples() const {
    return reinterpret_cast<Sample*>(pixels.get());
  }
};

/// A raster with room for its pixels, which are not set. Throws Error(ErrorKind::input) if the
/// memory for it is not there.
Raster make_raster(const ImageShape& shape, PixelType type = PixelType::uint8);

/// The same with all of another raster but shape and pixels.
Raster make_raster_like(const Raster& other, const ImageShape& shape);

/// The type that samples of more than 8 bits are read in.
inline PixelType type_of_wide(const ImageOptions& options) {
  return options.depth == 16 ? PixelType::uint16 : PixelType::uint8;
}

/// Calls `function` with a sample of the raster's type, whose value has no meaning.
template <class Function>
void by_type(const Raster& raster, const Function& function) {
  if (raster.wide()) {
    function(uint16_t{});
  } else {
    function(uint8_t{});
  }
}

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

/// The values of a mask (read_mask) in the bytes of a PNG file.
Raster decode_png_values(std::string_view bytes, int64_t max_pixels);

/// The orientation that an EXIF block (a TIFF header and its directory) names, 1 where it names
/// none or is damaged.
int exif_orientation(std::string_view exif);

}  // namespace bissl
