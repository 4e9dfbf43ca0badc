#pragma once

#include "bissl/image.h"
#include "bissl/parameters.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bissl {

/// How image files become pixels: options that every dataset of image files has.
struct ImageOptions {
  /// "rgb", "gray", or "as-file": 1 for gray files, the number of bands for files with several, 3
  /// for all others.
  std::string channels = "rgb";
  /// An image with a longer shorter side is scaled so that it has this one; 0: none is.
  int64_t size = 0;
  /// A JPEG file is decoded at 1/2, 1/4 or 1/8 of its size, the smallest whose shorter side is
  /// still this or more; 0: in full. What `size` asks for is never enlarged from less.
  int64_t scaled_decoding = 0;
  /// A file that claims more pixels is refused before memory is taken for them.
  int64_t max_pixels = 100'000'000;
  /// Bits of the samples that come out: 8, or 16 (8 bits are widened: 255 becomes 65535).
  int64_t depth = 8;
  /// The samples that become 0 and the largest value where a file's have more than 8 bits; empty:
  /// the whole range of the file's type.
  std::vector<double> range{};
  /// Which bands of a file with several, counted from 1, in their new order; empty: all.
  std::vector<int64_t> bands{};
};

/// Declares `channels`, `size`, `scaled_decoding`, `max_pixels`, `depth`, `range` and `bands`; for
/// Schema::embed.
Schema<ImageOptions> image_schema();

/// The image in a file, of whatever format its first bytes show: JPEG, PNG, WebP, TIFF, BMP, PNM or
/// GIF (the first image of it, as of TIFF and WebP with several), whatever its name.
///
/// It has samples of options.depth bits in 1 or 3 channels or in bands, lies as its EXIF
/// orientation says, and owns its pixels. Transparency is dropped: a pixel has the colour that the
/// file gives it, as by convert("RGB") of Python's Pillow.
///
/// Threads: any number at once. Errors: Error(ErrorKind::input) that begins with the path and says
/// what is wrong, for a file that cannot be read, is of another format, cut short, damaged or
/// larger than max_pixels.
Image read_image(const std::string& path, const ImageOptions& options = {});

/// The same for a file's bytes that are in memory already; `name` says in errors where they are
/// from.
Image decode_image(std::string_view bytes, const std::string& name,
                   const ImageOptions& options = {});

/// The values in a PNG file as it has them, one channel of 8 bits: of a file with a palette
/// the places in it, of a gray one its samples, which are not widened where they have fewer bits.
/// For masks, whose values are names. Threads and errors as of read_image; files in colour, with
/// transparency beside gray, or with more than 8 bits are refused.
Image read_mask(const std::string& path, int64_t max_pixels);

/// Whether a file's name ends as those of the formats above do, in upper or lower case: .jpg,
/// .jpeg, .jpe, .jfif, .png, .webp, .tif, .tiff, .bmp, .dib, .pbm, .pgm, .ppm, .pnm, .gif.
bool is_image_name(std::string_view name);

/// The bytes of a regular file. Throws Error(ErrorKind::input) that begins with the path if it
/// cannot be read, is no regular file, or has more than `most` bytes.
std::string read_file_bytes(const std::string& path, int64_t most);

/// Whether there is a regular file that this process may read, whatever is in it.
bool is_readable_file(const std::string& path);

}  // namespace bissl
