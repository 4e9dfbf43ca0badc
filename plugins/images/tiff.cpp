// TIFF by libtiff: strips and tiles, planes together or apart, 1 to 16 bits, 32 bits, floating
// point, palettes, inks, and any number of bands. The first directory of a file is read.

#include "raster.h"
#include "samples.h"
#include "tiff_file.h"
#include "tiff_rows.h"

#include "bissl/error.h"

#include <tiffio.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

namespace bissl {
namespace {

using tiff_file::File;
using tiff_file::Layout;
using tiff_file::RowReader;
using tiff_file::Source;
using tiff_file::tag_of;

void require_known(const Layout& layout, const SampleScale& scale) {
  const bool whole = layout.format == SAMPLEFORMAT_UINT || layout.format == SAMPLEFORMAT_VOID ||
                     layout.format == SAMPLEFORMAT_INT;
  const bool real = layout.format == SAMPLEFORMAT_IEEEFP;
  const bool known = (whole && ((layout.bits >= 1 && layout.bits <= 16) || layout.bits == 32)) ||
                     (real && (layout.bits == 32 || layout.bits == 64));
  if (!known || (layout.format == SAMPLEFORMAT_INT && layout.bits % 8 != 0)) {
    fail_input("TIFF: has samples of {} bits in format {}, which are not read", layout.bits,
               layout.format);
  }
  if (real && !scale.given()) {
    fail_input(
        "TIFF: has floating point samples: say by `range` which become black and white, such as "
        "range = [0.0, 1.0]");
  }
}

/// Reads strips or tiles into `samples`, all of a pixel beside each other.
template <class Out>
class PartReader {
 public:
  PartReader(const File& file, Source& source, const Layout& layout, const SampleScale& scale,
             int64_t most_bytes)
      : file_(file), source_(source), layout_(layout), rows_(layout, scale) {
    const tmsize_t size = layout.tiled ? TIFFTileSize(file.get()) : TIFFStripSize(file.get());
    stride_ = layout.tiled ? TIFFTileRowSize(file.get()) : TIFFScanlineSize(file.get());
    const int64_t in_row = layout.part_width * (layout.apart ? 1 : layout.samples);
    if (layout.part_width < 1 || layout.part_height < 1 || size < 1 || size > most_bytes ||
        stride_ < (in_row * layout.bits + 7) / 8 || stride_ * layout.part_height > size) {
      fail_input("TIFF: has parts of {} x {} pixels in {} bytes, which are not read",
                 layout.part_width, layout.part_height, static_cast<int64_t>(size));
    }
    part_.resize(static_cast<size_t>(size));
    line_.resize(static_cast<size_t>(in_row));
  }

  void read(Out* samples) {
    const int64_t planes = layout_.apart ? layout_.samples : 1;
    for (int64_t plane = 0; plane < planes; ++plane) {
      for (int64_t y = 0; y < layout_.height; y += layout_.part_height) {
        for (int64_t x = 0; x < layout_.width; x += layout_.part_width) {
          read_part(x, y, plane);
          copy_part(x, y, plane, samples);
        }
      }
    }
  }

 private:
  void read_part(int64_t x, int64_t y, int64_t plane) {
    const auto number = static_cast<uint16_t>(plane);
    const int64_t rows = std::min(layout_.part_height, layout_.height - y);
    const tmsize_t wanted = layout_.tiled ? static_cast<tmsize_t>(part_.size()) : stride_ * rows;
    const tmsize_t got =
        layout_.tiled
            ? TIFFReadEncodedTile(file_.get(),
                                  TIFFComputeTile(file_.get(), static_cast<uint32_t>(x),
                                                  static_cast<uint32_t>(y), 0, number),
                                  part_.data(), wanted)
            : TIFFReadEncodedStrip(file_.get(),
                                   TIFFComputeStrip(file_.get(), static_cast<uint32_t>(y), number),
                                   part_.data(), wanted);
    if (got != wanted) {
      if (source_.message.empty()) {
        fail_input("TIFF: is cut short: {} of {} bytes of the pixels from row {} on are there",
                   std::max<int64_t>(got, 0), static_cast<int64_t>(wanted), y);
      }
      tiff_file::fail(source_);
    }
  }

  void copy_part(int64_t x, int64_t y, int64_t plane, Out* samples) {
    const int64_t columns = std::min(layout_.part_width, layout_.width - x);
    const int64_t rows = std::min(layout_.part_height, layout_.height - y);
    const int64_t in_row = columns * (layout_.apart ? 1 : layout_.samples);
    for (int64_t row = 0; row < rows; ++row) {
      const uint8_t* source = part_.data() + row * stride_;
      Out* target = samples + ((y + row) * layout_.width + x) * layout_.samples;
      if (!layout_.apart) {
        rows_.read(source, in_row, target);
        continue;
      }
      rows_.read(source, in_row, line_.data());
      for (int64_t i = 0; i < columns; ++i) {
        target[i * layout_.samples + plane] = line_[static_cast<size_t>(i)];
      }
    }
  }

  const File& file_;
  Source& source_;
  const Layout& layout_;
  RowReader<Out> rows_;
  tmsize_t stride_ = 0;
  std::vector<uint8_t> part_;
  std::vector<Out> line_;
};

/// The first `kept` samples of each pixel.
Raster first_samples(const Raster& all, int64_t kept) {
  if (all.shape.channels == kept) {
    return all;
  }
  Raster result = make_raster_like(all, {kept, all.shape.height, all.shape.width});
  const uint8_t* source = all.pixels.get();
  uint8_t* target = result.pixels.get();
  for (int64_t i = 0; i < all.area(); ++i) {
    target = std::copy_n(source, result.pixel_size(), target);
    source += all.pixel_size();
  }
  return result;
}

/// Divides the colours by the alpha that they are multiplied by, as Pillow does.
void divide_by_alpha(const Raster& all, int64_t colours) {
  by_type(all, [&](auto sample) {
    using Sample = decltype(sample);
    constexpr uint64_t most = std::numeric_limits<Sample>::max();
    Sample* pixel = all.samples<Sample>();
    for (int64_t i = 0; i < all.area(); ++i, pixel += all.shape.channels) {
      const uint64_t alpha = pixel[colours];
      for (int64_t c = 0; c < colours && alpha != most; ++c) {
        pixel[c] =
            alpha == 0 ? Sample{0} : static_cast<Sample>(std::min(pixel[c] * most / alpha, most));
      }
    }
  });
}

void invert(const Raster& raster) {
  const int64_t bytes = raster.area() * raster.pixel_size();
  for (int64_t i = 0; i < bytes; ++i) {
    raster.pixels[i] = static_cast<uint8_t>(~raster.pixels[i]);  // of 16 bits, too
  }
}

Raster from_palette(const File& file, const Raster& indices, uint16_t bits) {
  uint16_t* red = nullptr;
  uint16_t* green = nullptr;
  uint16_t* blue = nullptr;
  if (bits > 8 || TIFFGetField(file.get(), TIFFTAG_COLORMAP, &red, &green, &blue) != 1) {
    fail_input("TIFF: has no palette for samples of {} bits", bits);
  }
  Raster result = make_raster({3, indices.shape.height, indices.shape.width});
  uint8_t* target = result.pixels.get();
  for (int64_t i = 0; i < indices.shape.elements(); ++i, target += 3) {
    const uint8_t index = indices.pixels[i];
    target[0] = static_cast<uint8_t>(red[index] >> 8);
    target[1] = static_cast<uint8_t>(green[index] >> 8);
    target[2] = static_cast<uint8_t>(blue[index] >> 8);
  }
  return result;
}

Raster from_inks(const Raster& inks) {
  Raster result = make_raster({3, inks.shape.height, inks.shape.width});
  const uint8_t* source = inks.pixels.get();
  uint8_t* target = result.pixels.get();
  for (int64_t i = 0; i < inks.area(); ++i, target += 3) {
    cmyk_to_rgb(source, target);
    source += inks.shape.channels;
  }
  return result;
}

/// What the samples mean, as gray, colours or bands. Alpha is dropped, with what follows it, unless
/// bands are chosen: many programs mark whatever follows the colours as alpha.
Raster interpreted(const File& file, const Layout& layout, const Raster& all,
                   const ImageOptions& options) {
  const bool chosen = !options.bands.empty();
  switch (layout.meaning) {
    case PHOTOMETRIC_PALETTE:
      return from_palette(file, first_samples(all, 1), layout.bits);
    case PHOTOMETRIC_SEPARATED:
      if (layout.samples >= 4) {
        return from_inks(all);
      }
      break;
    case PHOTOMETRIC_MINISWHITE:
      invert(all);
      [[fallthrough]];
    case PHOTOMETRIC_MINISBLACK:
      return layout.alpha && !chosen ? first_samples(all, 1) : all;
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_YCBCR:  // the library has made colours of it
      if (layout.samples >= 3) {
        if (layout.multiplied && layout.samples >= 4) {
          divide_by_alpha(all, 3);
        }
        return chosen || (options.channels == "as-file" && !layout.alpha) ? all
                                                                          : first_samples(all, 3);
      }
      break;
    default:
      break;
  }
  fail_input("TIFF: has {} samples of photometric interpretation {}, which is not read",
             layout.samples, layout.meaning);
}

/// Pixels in luminance and colour differences that are not compressed as JPEG: the library's own
/// conversion.
Raster read_converted(const File& file, const Source& source, const Layout& layout) {
  const auto pixels = static_cast<size_t>(layout.width * layout.height);
  const auto packed = std::make_unique_for_overwrite<uint32_t[]>(pixels);
  if (TIFFReadRGBAImageOriented(
          file.get(), static_cast<uint32_t>(layout.width), static_cast<uint32_t>(layout.height),
          packed.get(),
          static_cast<int>(tag_of<uint16_t>(file, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT)),
          1) != 1) {
    tiff_file::fail(source);
  }
  Raster result = make_raster({3, layout.height, layout.width});
  uint8_t* target = result.pixels.get();
  for (size_t i = 0; i < pixels; ++i, target += 3) {
    target[0] = static_cast<uint8_t>(TIFFGetR(packed[i]));
    target[1] = static_cast<uint8_t>(TIFFGetG(packed[i]));
    target[2] = static_cast<uint8_t>(TIFFGetB(packed[i]));
  }
  return result;
}

/// Throws for a file of few bytes that would take very long: each part is unpacked by itself, so
/// that tiles may hold far more than the image, and each may be said to be the same bytes of the
/// file.
void require_few_bytes(const File& file, const Layout& layout, uint64_t file_bytes,
                       int64_t most_bytes) {
  constexpr int64_t most_padding = 4;  // of what is read at most: tiles reach beyond the edges
  constexpr uint64_t most_shared = uint64_t{1} << 30;  // a file may have all empty tiles once
  constexpr uint64_t most_times = 16;
  const uint32_t parts =
      layout.tiled ? TIFFNumberOfTiles(file.get()) : TIFFNumberOfStrips(file.get());
  const int64_t size = layout.tiled ? TIFFTileSize(file.get()) : TIFFStripSize(file.get());
  if (size > 0 && parts > most_padding * most_bytes / size) {
    fail_input(
        "TIFF: has {} parts of {} bytes each, far more than an image of {} x {} pixels needs and "
        "than are read, see `max_pixels`",
        parts, size, layout.width, layout.height);
  }
  uint64_t packed = 0;
  for (uint32_t part = 0; part < parts; ++part) {
    packed += std::min(TIFFGetStrileByteCount(file.get(), part), file_bytes);
  }
  if (packed > most_shared + most_times * file_bytes) {
    fail_input("TIFF: says that its {} parts have {} bytes together, and has {}; it is damaged",
               parts, packed, file_bytes);
  }
}

}  // namespace

Raster decode_tiff(std::string_view bytes, const ImageOptions& options) {
  // So many bytes of samples, or of a part of them, does the largest image take.
  constexpr int64_t most_for_a_pixel = 16;
  const int64_t most_bytes = std::max<int64_t>(options.max_pixels * most_for_a_pixel, 1 << 20);
  const SampleScale scale(options);
  Source source{.bytes = bytes, .position = 0, .message = {}};
  const File file = tiff_file::open(source, most_bytes);
  const auto compression = tag_of<uint16_t>(file, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  if (compression == COMPRESSION_OJPEG || TIFFIsCODECConfigured(compression) == 0) {
    fail_input("TIFF: is of compression {}, which is not read", compression);
  }
  if (compression == COMPRESSION_JPEG) {
    TIFFSetField(file.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  }
  const Layout layout = tiff_file::layout_of(file);
  require_size(layout.width, layout.height, options);
  if (layout.width * layout.height > most_bytes / (layout.samples * (layout.bits / 8 + 1))) {
    fail_input(
        "TIFF: is of {} x {} pixels with {} samples of {} bits, more than are read, see "
        "`max_pixels`",
        layout.width, layout.height, layout.samples, layout.bits);
  }
  require_few_bytes(file, layout, bytes.size(), most_bytes);
  Raster raster;
  if (layout.meaning == PHOTOMETRIC_YCBCR && compression != COMPRESSION_JPEG) {
    raster = read_converted(file, source, layout);
  } else {
    require_known(layout, scale);
    const bool wide = layout.bits > 8 && layout.meaning != PHOTOMETRIC_SEPARATED;
    raster = make_raster({layout.samples, layout.height, layout.width},
                         wide ? type_of_wide(options) : PixelType::uint8);
    by_type(raster, [&](auto sample) {
      using Sample = decltype(sample);
      PartReader<Sample>(file, source, layout, scale, most_bytes).read(raster.samples<Sample>());
    });
    raster = interpreted(file, layout, raster, options);
  }
  const auto orientation =
      tag_of<uint16_t>(file, TIFFTAG_ORIENTATION, uint16_t{ORIENTATION_TOPLEFT});
  raster.orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
  return raster;
}

}  // namespace bissl
