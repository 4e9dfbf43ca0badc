// PNG by libspng, which reports errors by return values.

#include "raster.h"
#include "samples.h"

#include <spng.h>

#include <cstring>
#include <memory>
#include <vector>

namespace bissl {
namespace {

/// What chunks beside the image (texts, profiles) may take of memory.
constexpr size_t largest_chunk = size_t{16} << 20;
constexpr size_t largest_chunks = size_t{32} << 20;

struct FreeContext {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
using Context = std::unique_ptr<spng_ctx, FreeContext>;

void require(int code) {
  if (code == SPNG_EMEM) {
    throw std::bad_alloc();
  }
  if (code == SPNG_IO_EOF || code == SPNG_EIDAT_TOO_SHORT) {
    fail_input("PNG: is cut short: {}", spng_strerror(code));
  }
  if (code != SPNG_OK) {
    fail_input("PNG: cannot be decoded: {}", spng_strerror(code));
  }
}

Context open(std::string_view bytes) {
#ifdef BISSL_FUZZING
  // A fuzzer does not find checksums.
  Context context(spng_ctx_new(SPNG_CTX_IGNORE_ADLER32));
#else
  Context context(spng_ctx_new(0));
#endif
  if (!context) {
    throw std::bad_alloc();
  }
#ifdef BISSL_FUZZING
  require(spng_set_crc_action(context.get(), SPNG_CRC_USE, SPNG_CRC_USE));
#endif
  require(spng_set_chunk_limits(context.get(), largest_chunk, largest_chunks));
  require(spng_set_png_buffer(context.get(), bytes.data(), bytes.size()));
  return context;
}

/// The library's format in which the pixels are read, and how many samples of what size it has.
struct Layout {
  spng_format format;
  int64_t samples;
  bool wide;  ///< 16 bits
};

Layout layout_of(const spng_ihdr& header) {
  switch (header.color_type) {
    case SPNG_COLOR_TYPE_GRAYSCALE:
      return header.bit_depth == 16 ? Layout{SPNG_FMT_PNG, 1, true} : Layout{SPNG_FMT_G8, 1, false};
    case SPNG_COLOR_TYPE_GRAYSCALE_ALPHA:
      return {SPNG_FMT_PNG, 2, header.bit_depth == 16};
    case SPNG_COLOR_TYPE_TRUECOLOR:
      return {SPNG_FMT_PNG, 3, header.bit_depth == 16};
    case SPNG_COLOR_TYPE_TRUECOLOR_ALPHA:
      return {SPNG_FMT_PNG, 4, header.bit_depth == 16};
    default:
      return {SPNG_FMT_RGB8, 3, false};
  }
}

void read_pixels(spng_ctx* context, const Layout& layout, void* target, size_t size) {
  size_t needed = 0;
  require(spng_decoded_image_size(context, layout.format, &needed));
  if (needed != size) {
    fail_input("PNG: cannot be decoded: its pixels take {} bytes; expected {}", needed, size);
  }
  require(spng_decode_image(context, target, size, layout.format, 0));
}

int orientation_of(spng_ctx* context) {
  spng_exif exif{};
  return spng_get_exif(context, &exif) == SPNG_OK ? exif_orientation({exif.data, exif.length}) : 1;
}

}  // namespace

Raster decode_png(std::string_view bytes, const ImageOptions& options) {
  const Context context = open(bytes);
  spng_ihdr header{};
  require(spng_get_ihdr(context.get(), &header));
  require_size(header.width, header.height, options);
  const Layout layout = layout_of(header);
  const int64_t channels = layout.samples >= 3 ? 3 : 1;
  Raster raster = make_raster({channels, header.height, header.width},
                              layout.wide ? type_of_wide(options) : PixelType::uint8);
  const auto pixels = static_cast<size_t>(raster.area());
  const auto samples = static_cast<size_t>(layout.samples);
  if (layout.wide) {
    const SampleScale scale(options);
    const auto wide = std::make_unique_for_overwrite<uint16_t[]>(pixels * samples);
    read_pixels(context.get(), layout, wide.get(), pixels * samples * sizeof(uint16_t));
    by_type(raster, [&](auto sample) {
      auto* target = raster.samples<decltype(sample)>();
      for (size_t i = 0; i < pixels; ++i) {
        for (int64_t c = 0; c < channels; ++c) {
          *target++ = scale.of<decltype(sample)>(wide[i * samples + static_cast<size_t>(c)]);
        }
      }
    });
  } else if (layout.samples == channels) {
    read_pixels(context.get(), layout, raster.pixels.get(), pixels * samples);
  } else {
    const auto with_alpha = std::make_unique_for_overwrite<uint8_t[]>(pixels * samples);
    read_pixels(context.get(), layout, with_alpha.get(), pixels * samples);
    uint8_t* target = raster.pixels.get();
    for (size_t i = 0; i < pixels; ++i) {
      std::memcpy(target, with_alpha.get() + i * samples, static_cast<size_t>(channels));
      target += channels;
    }
  }
  // What follows the pixels may name an orientation, and is read for no other reason.
  spng_decode_chunks(context.get());
  raster.orientation = orientation_of(context.get());
  return raster;
}

Raster decode_png_values(std::string_view bytes, int64_t max_pixels) {
  const Context context = open(bytes);
  spng_ihdr header{};
  require(spng_get_ihdr(context.get(), &header));
  require_size(header.width, header.height, {.max_pixels = max_pixels});
  const bool gray = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE;
  if (!gray && header.color_type != SPNG_COLOR_TYPE_INDEXED) {
    fail_input("PNG: is in colours or has transparency; a mask has a palette or is gray");
  }
  if (header.bit_depth > 8) {
    fail_input("PNG: has values of {} bits; those of a mask have at most 8", int{header.bit_depth});
  }
  Raster raster = make_raster({1, header.height, header.width});
  const Layout layout{SPNG_FMT_PNG, 1, false};
  if (header.bit_depth == 8) {
    read_pixels(context.get(), layout, raster.pixels.get(), static_cast<size_t>(raster.area()));
    return raster;
  }
  // Several values in a byte, the first one in its highest bits; each row begins with a byte.
  const size_t depth = header.bit_depth;
  const size_t row_bytes = (header.width * depth + 7) / 8;
  const auto packed = std::make_unique_for_overwrite<uint8_t[]>(row_bytes * header.height);
  read_pixels(context.get(), layout, packed.get(), row_bytes * header.height);
  const unsigned mask = (1U << depth) - 1;
  for (size_t y = 0; y < header.height; ++y) {
    uint8_t* const target = raster.row(static_cast<int64_t>(y));
    for (size_t x = 0; x < header.width; ++x) {
      const size_t bit = x * depth;
      const unsigned byte = packed[y * row_bytes + bit / 8];
      target[x] = static_cast<uint8_t>((byte >> (8 - depth - bit % 8)) & mask);
    }
  }
  return raster;
}

}  // namespace bissl
