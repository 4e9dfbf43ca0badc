#include "image_files.h"

#include "raster.h"

#include "bissl/crops.h"

#include <algorithm>
#include <array>
#include <limits>
#include <new>

namespace bissl {
namespace {

using namespace std::string_view_literals;

/// No image that fits max_pixels needs a larger file.
constexpr int64_t largest_file = int64_t{1} << 30;

using Decoder = Raster (*)(std::string_view, const ImageOptions&);

/// The decoder for what the first bytes show, or null.
Decoder decoder_for(std::string_view bytes) {
  const auto begins = [bytes](std::string_view magic) { return bytes.starts_with(magic); };
  if (begins("\xFF\xD8\xFF"sv)) {
    return decode_jpeg;
  }
  if (begins("\x89PNG\r\n\x1A\n"sv)) {
    return decode_png;
  }
  if (begins("RIFF"sv) && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP"sv) {
    return decode_webp;
  }
  if (begins("II*\0"sv) || begins("MM\0*"sv) || begins("II+\0"sv) || begins("MM\0+"sv)) {
    return decode_tiff;
  }
  if (begins("GIF87a"sv) || begins("GIF89a"sv)) {
    return decode_gif;
  }
  if (begins("BM"sv)) {
    return decode_bmp;
  }
  if (bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
      "\n\r\t #"sv.find(bytes[2]) != std::string_view::npos) {
    return decode_pnm;
  }
  return nullptr;
}

std::string first_bytes(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes.substr(0, 8)) {
    text += fmt::format("{}{:02x}", text.empty() ? "" : " ", static_cast<uint8_t>(byte));
  }
  return text;
}

/// Turns and mirrors the image so that it lies as it should.
Raster upright(const Raster& raster) {
  if (raster.orientation <= 1 || raster.orientation > 8) {
    return raster;
  }
  const auto [channels, height, width] = raster.shape;
  const bool turned = raster.orientation >= 5;
  const int64_t size = raster.pixel_size();
  Raster result =
      make_raster_like(raster, {channels, turned ? width : height, turned ? height : width});
  // Where the first row and the first column of the stored image are seen, by EXIF's table.
  const bool from_right = raster.orientation == 2 || raster.orientation == 3 ||
                          raster.orientation == 7 || raster.orientation == 6;
  const bool from_bottom = raster.orientation == 3 || raster.orientation == 4 ||
                           raster.orientation == 7 || raster.orientation == 8;
  for (int64_t y = 0; y < result.shape.height; ++y) {
    uint8_t* target = result.row(y);
    const int64_t v = from_bottom ? result.shape.height - 1 - y : y;
    for (int64_t x = 0; x < result.shape.width; ++x) {
      const int64_t u = from_right ? result.shape.width - 1 - x : x;
      const uint8_t* source = turned ? raster.row(u) + v * size : raster.row(v) + u * size;
      target = std::copy_n(source, size, target);
    }
  }
  return result;
}

/// The bands that are asked for.
Raster chosen_bands(const Raster& raster, const std::vector<int64_t>& bands) {
  if (bands.empty()) {
    return raster;
  }
  const int64_t present = raster.shape.channels;
  for (const int64_t band : bands) {
    if (band > present) {
      fail_input("has {} band{}; `bands` asks for number {}", present, present == 1 ? "" : "s",
                 band);
    }
  }
  ImageShape shape = raster.shape;
  shape.channels = static_cast<int64_t>(bands.size());
  Raster result = make_raster_like(raster, shape);
  by_type(raster, [&](auto sample) {
    const auto* source = raster.samples<decltype(sample)>();
    auto* target = result.samples<decltype(sample)>();
    for (int64_t i = 0; i < raster.area(); ++i, source += present) {
      for (const int64_t band : bands) {
        *target++ = source[band - 1];
      }
    }
  });
  return result;
}

Raster in_channels(const Raster& raster, int64_t channels) {
  if (raster.shape.channels == channels) {
    return raster;
  }
  ImageShape shape = raster.shape;
  shape.channels = channels;
  Raster result = make_raster_like(raster, shape);
  by_type(raster, [&](auto sample) {
    const auto* source = raster.samples<decltype(sample)>();
    auto* target = result.samples<decltype(sample)>();
    for (int64_t i = 0; i < raster.area(); ++i) {
      if (channels == 3) {
        target[3 * i] = target[3 * i + 1] = target[3 * i + 2] = source[i];
      } else {
        // Luminance by ITU-R 601 in shares of 2^16, as Pillow rounds it.
        const uint64_t sum = source[3 * i] * uint64_t{19595} + source[3 * i + 1] * uint64_t{38470} +
                             source[3 * i + 2] * uint64_t{7471};
        target[i] = static_cast<decltype(sample)>((sum + 0x8000) >> 16);
      }
    }
  });
  return result;
}

/// Samples of 8 bits as 16, where those are asked for.
Raster in_depth(const Raster& raster, int64_t depth) {
  if (depth == 8 || raster.wide()) {
    return raster;
  }
  Raster result = make_raster(raster.shape, PixelType::uint16);
  auto* target = result.samples<uint16_t>();
  for (int64_t i = 0; i < raster.shape.elements(); ++i) {
    target[i] = static_cast<uint16_t>(raster.pixels[i] * 257);
  }
  return result;
}

Raster converted(Raster raster, const ImageOptions& options) {
  raster = chosen_bands(raster, options.bands);
  const int64_t found = raster.shape.channels;
  if (options.channels == "as-file") {
    return raster;
  }
  if (found != 1 && found != 3) {
    fail_input(
        "has {} bands, which are neither gray nor red, green and blue: choose with `bands`, or "
        "take all by channels = \"as-file\"",
        found);
  }
  return in_channels(raster, options.channels == "gray" ? 1 : 3);
}

/// Values in 0 … 1 as samples, each `step` behind the one before it: rounded, in blocks, so that
/// all but the last loop is vector code.
template <class Sample>
void write_samples(const float* values, int64_t count, int64_t step, Sample* target) {
  constexpr float most = std::numeric_limits<Sample>::max();
  constexpr int64_t block = 256;
  std::array<int32_t, block> rounded{};
  for (int64_t first = 0; first < count; first += block) {
    const int64_t length = std::min(block, count - first);
    const float* from = values + first;
    for (int64_t i = 0; i < length; ++i) {
      const float value = from[i] * most + 0.5F;
      const float positive = value < 0.0F ? 0.0F : value;
      rounded[i] = static_cast<int32_t>(positive > most ? most : positive);
    }
    for (int64_t i = 0; i < length; ++i, target += step) {
      *target = static_cast<Sample>(rounded[i]);
    }
  }
}

/// Scales the image so that its shorter side is `size`, if it is longer; the longer one as
/// torchvision's Resize has it.
Raster capped(const Raster& raster, int64_t size) {
  const int64_t height = raster.full_height > 0 ? raster.full_height : raster.shape.height;
  const int64_t width = raster.full_width > 0 ? raster.full_width : raster.shape.width;
  const int64_t shorter = std::min(height, width);
  if (size == 0 || shorter <= size) {
    return raster;
  }
  const auto scaled = [&](int64_t side) {
    return side == shorter
               ? size
               : static_cast<int64_t>(static_cast<double>(size) * static_cast<double>(side) /
                                      static_cast<double>(shorter));
  };
  const ImageShape shape{raster.shape.channels, scaled(height), scaled(width)};
  if (shape == raster.shape) {
    return raster;
  }
  // Kept for the thread's next image: fresh pages for each would cost as much as the scaling.
  thread_local std::vector<float> values;
  values.resize(static_cast<size_t>(shape.elements()));
  const Planes planes{shape, values.data()};
  const Image image{raster.shape, raster.pixels.get(), nullptr, raster.type};
  resized_crop(image, {0, 0, raster.shape.height, raster.shape.width}, planes);
  Raster result = make_raster_like(raster, shape);
  by_type(raster, [&](auto sample) {
    using Sample = decltype(sample);
    for (int64_t channel = 0; channel < shape.channels; ++channel) {
      write_samples(planes.plane(channel), planes.area(), shape.channels,
                    result.samples<Sample>() + channel);
    }
  });
  return result;
}

Image image_of(std::string_view bytes, const ImageOptions& options) {
  const Decoder decode = decoder_for(bytes);
  if (bytes.empty()) {
    fail_input("is empty");
  }
  if (decode == nullptr) {
    fail_input(
        "is no image that can be read: begins with {}; expected JPEG, PNG, WebP, TIFF, BMP, PNM or "
        "GIF",
        first_bytes(bytes));
  }
  const Raster raster = in_depth(
      upright(capped(converted(decode(bytes, options), options), options.size)), options.depth);
  return {raster.shape, raster.pixels.get(), raster.pixels, raster.type};
}

}  // namespace

Raster make_raster(const ImageShape& shape, PixelType type) {
  try {
    Raster raster;
    raster.shape = shape;
    raster.type = type;
    raster.pixels = std::make_shared_for_overwrite<uint8_t[]>(
        static_cast<size_t>(raster.area() * raster.pixel_size()));
    return raster;
  } catch (const std::bad_alloc&) {
    fail_input("is of {} x {} pixels, for which there is not enough memory", shape.width,
               shape.height);
  }
}

Raster make_raster_like(const Raster& other, const ImageShape& shape) {
  Raster raster = make_raster(shape, other.type);
  raster.orientation = other.orientation;
  raster.full_height = other.full_height;
  raster.full_width = other.full_width;
  return raster;
}

void require_size(int64_t width, int64_t height, const ImageOptions& options) {
  if (width < 1 || height < 1) {
    fail_input("is of {} x {} pixels; expected at least 1 x 1", width, height);
  }
  if (width > options.max_pixels / height) {
    fail_input("is of {} x {} pixels; at most {} in all are read, see `max_pixels`", width, height,
               options.max_pixels);
  }
}

Image decode_image(std::string_view bytes, const std::string& name, const ImageOptions& options) {
  try {
    return image_of(bytes, options);
  } catch (const Error& error) {
    throw error.at(name);
  } catch (const std::bad_alloc&) {
    fail_input("{}: there is not enough memory to decode it", name);
  }
}

Image read_image(const std::string& path, const ImageOptions& options) {
  return decode_image(read_file_bytes(path, largest_file), path, options);
}

Image read_mask(const std::string& path, int64_t max_pixels) {
  const std::string bytes = read_file_bytes(path, largest_file);
  try {
    if (decoder_for(bytes) != decode_png) {
      fail_input("is no PNG file: begins with {}; masks are PNG files, gray or with a palette",
                 bytes.empty() ? "nothing" : first_bytes(bytes));
    }
    const Raster raster = decode_png_values(bytes, max_pixels);
    return {raster.shape, raster.pixels.get(), raster.pixels, raster.type};
  } catch (const Error& error) {
    throw error.at(path);
  } catch (const std::bad_alloc&) {
    fail_input("{}: there is not enough memory to decode it", path);
  }
}

}  // namespace bissl
