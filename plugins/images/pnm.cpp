// Portable bitmaps, graymaps and pixmaps (PBM, PGM, PPM), as text and as bytes.

#include "raster.h"
#include "samples.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bissl {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The file from the magic number on.
class PnmReader {
 public:
  explicit PnmReader(std::string_view bytes) : bytes_(bytes) {}

  /// A decimal number, behind spaces and comments.
  int64_t number(const char* what) {
    skip_space(what);
    const size_t begin = at_;
    int64_t value = 0;
    while (at_ < bytes_.size() && bytes_[at_] >= '0' && bytes_[at_] <= '9') {
      value = value * 10 + (bytes_[at_++] - '0');
      if (at_ - begin > 10) {
        fail_input("PNM: {} has more than 10 digits", what);
      }
    }
    if (at_ == begin) {
      fail_input("PNM: byte {} is 0x{:02x}; expected a digit of {}", at_,
                 static_cast<uint8_t>(bytes_[at_]), what);
    }
    return value;
  }

  /// A digit 0 or 1, behind spaces and comments.
  bool bit(const char* what) {
    skip_space(what);
    const char digit = bytes_[at_++];
    if (digit != '0' && digit != '1') {
      fail_input("PNM: byte {} is 0x{:02x}; expected a 0 or 1 of {}", at_ - 1,
                 static_cast<uint8_t>(digit), what);
    }
    return digit == '1';
  }

  /// The one space between the header and bytes.
  void end_of_header() {
    if (at_ >= bytes_.size() || !is_space(bytes_[at_])) {
      fail_input("PNM: has no white space behind its header");
    }
    ++at_;
  }

  std::string_view take(size_t size) {
    if (size > bytes_.size() - at_) {
      fail_input("PNM: is cut short: has {} bytes of pixels; expected {}", bytes_.size() - at_,
                 size);
    }
    const std::string_view taken = bytes_.substr(at_, size);
    at_ += size;
    return taken;
  }

  size_t left() const { return bytes_.size() - at_; }

 private:
  void skip_space(const char* what) {
    while (at_ < bytes_.size() && (is_space(bytes_[at_]) || bytes_[at_] == '#')) {
      if (bytes_[at_] == '#') {
        at_ = std::min(bytes_.find_first_of("\r\n", at_), bytes_.size());
      } else {
        ++at_;
      }
    }
    if (at_ >= bytes_.size()) {
      fail_input("PNM: is cut short: ends after {} bytes; expected {}", bytes_.size(), what);
    }
  }

  std::string_view bytes_;
  size_t at_ = 2;
};

/// A sample of 0 … most as one of the image's.
class PnmScale {
 public:
  PnmScale(const ImageOptions& options, int64_t most) : scale_(options), most_(most) {}

  template <class Sample>
  Sample of(int64_t sample) const {
    if (scale_.given() && most_ > 255) {
      return scale_.by_range<Sample>(static_cast<double>(sample));
    }
    // As Pillow computes it: a half goes to the even neighbour.
    constexpr double white = std::numeric_limits<Sample>::max();
    const double share = static_cast<double>(sample) / static_cast<double>(most_);
    return static_cast<Sample>(std::min(std::nearbyint(share * white), white));
  }

 private:
  SampleScale scale_;
  int64_t most_;
};

void read_bitmap(PnmReader& file, bool as_text, const Raster& raster) {
  const int64_t width = raster.shape.width;
  for (int64_t y = 0; y < raster.shape.height; ++y) {
    uint8_t* target = raster.row(y);
    const std::string_view row =
        as_text ? std::string_view() : file.take(static_cast<size_t>(width + 7) / 8);
    for (int64_t x = 0; x < width; ++x) {
      const bool black =
          as_text ? file.bit("a pixel") : (row[static_cast<size_t>(x / 8)] >> (7 - x % 8) & 1) != 0;
      target[x] = black ? 0 : 255;
    }
  }
}

template <class Sample>
void read_samples(PnmReader& file, bool as_text, int64_t most, const PnmScale& scale,
                  const Raster& raster) {
  const auto count = static_cast<size_t>(raster.shape.elements());
  const size_t size = most > 255 ? 2 : 1;
  const std::string_view bytes = as_text ? std::string_view() : file.take(count * size);
  auto* target = raster.samples<Sample>();
  for (size_t i = 0; i < count; ++i) {
    int64_t sample = 0;
    if (as_text) {
      sample = file.number("a sample");
      if (sample > most) {
        fail_input("PNM: has a sample of {}; its header says at most {}", sample, most);
      }
    } else {
      for (size_t byte = 0; byte < size; ++byte) {
        sample = sample << 8 | static_cast<uint8_t>(bytes[i * size + byte]);
      }
    }
    target[i] = scale.of<Sample>(sample);
  }
}

}  // namespace

Raster decode_pnm(std::string_view bytes, const ImageOptions& options) {
  const char kind = bytes[1];
  const bool as_text = kind <= '3';
  const bool bitmap = kind == '1' || kind == '4';
  PnmReader file(bytes);
  const int64_t width = file.number("its width");
  const int64_t height = file.number("its height");
  require_size(width, height, options);
  const int64_t most = bitmap ? 1 : file.number("its largest value");
  if (most < 1 || most > 65535) {
    fail_input("PNM: its largest value is {}; expected 1 to 65535", most);
  }
  const int64_t channels = kind == '3' || kind == '6' ? 3 : 1;
  const ImageShape shape{channels, height, width};
  if (as_text && static_cast<size_t>(shape.elements()) > file.left()) {
    fail_input("PNM: is cut short: has {} bytes of text for {} samples", file.left(),
               shape.elements());
  }
  if (!as_text) {
    file.end_of_header();
  }
  Raster raster = make_raster(shape, most > 255 ? type_of_wide(options) : PixelType::uint8);
  if (bitmap) {
    read_bitmap(file, as_text, raster);
  } else {
    by_type(raster, [&](auto sample) {
      read_samples<decltype(sample)>(file, as_text, most, PnmScale(options, most), raster);
    });
  }
  return raster;
}

}  // namespace bissl
