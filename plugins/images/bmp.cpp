// Bitmaps of Windows and OS/2: 1, 4, 8, 16, 24 and 32 bits, palettes, bit fields, run lengths.

#include "byte_reader.h"
#include "raster.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

namespace bissl {
namespace {

constexpr size_t file_header = 14;

enum Compression : uint32_t { raw = 0, runs_of_8_bits = 1, runs_of_4_bits = 2, bit_fields = 3 };

struct Header {
  size_t size = 0;  ///< of the second header
  int64_t width = 0;
  int64_t height = 0;
  bool top_down = false;
  uint32_t bits = 0;
  uint32_t compression = raw;
  std::array<uint32_t, 3> masks{};
  size_t colours = 0;
  size_t colour_size = 4;
  size_t colours_at = 0;
  size_t pixels_at = 0;
};

bool is_one_run(uint32_t mask) {
  if (mask == 0) {
    return false;
  }
  const uint32_t run = mask >> std::countr_zero(mask);
  return (run & (run + 1)) == 0;
}

void read_masks(const ByteReader& file, Header& header) {
  // In longer headers they are a part of it, behind a short one they follow it: the same place.
  for (size_t i = 0; i < header.masks.size(); ++i) {
    header.masks[i] = file.number(file_header + 40 + 4 * i, 4, "its masks");
  }
  if (header.size == 40) {
    header.colours_at += 12;
  }
  const bool none = header.masks == std::array<uint32_t, 3>{};
  if (none && header.bits == 32) {
    header.masks = {0xFF0000, 0xFF00, 0xFF};
  }
  for (const uint32_t mask : header.masks) {
    if (!is_one_run(mask)) {
      fail_input("BMP: has the masks {:x}, {:x}, {:x}; expected three runs of bits",
                 header.masks[0], header.masks[1], header.masks[2]);
    }
  }
}

void read_info(const ByteReader& file, Header& header) {
  constexpr const char* what = "its header";
  const size_t at = file_header;
  if (header.size == 12) {
    header.width = file.number(at + 4, 2, what);
    header.height = file.number(at + 6, 2, what);
    header.bits = file.number(at + 10, 2, what);
    header.colour_size = 3;
    return;
  }
  const auto height = static_cast<int32_t>(file.number(at + 8, 4, what));
  header.top_down = height < 0;
  header.width = static_cast<int32_t>(file.number(at + 4, 4, what));
  header.height = std::abs(int64_t{height});
  header.bits = file.number(at + 14, 2, what);
  header.compression = file.number(at + 16, 4, what);
  header.colours = file.number(at + 32, 4, what);
}

void require_known(const Header& header) {
  constexpr std::array<uint32_t, 6> known{1, 4, 8, 16, 24, 32};
  if (std::find(known.begin(), known.end(), header.bits) == known.end()) {
    fail_input("BMP: has {} bits a pixel; expected 1, 4, 8, 16, 24 or 32", header.bits);
  }
  const bool fits = header.compression == raw ||
                    (header.compression == runs_of_8_bits && header.bits == 8) ||
                    (header.compression == runs_of_4_bits && header.bits == 4) ||
                    (header.compression == bit_fields && (header.bits == 16 || header.bits == 32));
  if (!fits) {
    fail_input("BMP: is of compression {} with {} bits a pixel, which is not read",
               header.compression, header.bits);
  }
}

Header read_header(const ByteReader& file) {
  Header header;
  header.size = file.number(file_header, 4, "its header");
  constexpr std::array<size_t, 7> sizes{12, 40, 52, 56, 64, 108, 124};
  if (std::find(sizes.begin(), sizes.end(), header.size) == sizes.end()) {
    fail_input("BMP: has a header of {} bytes; expected 12, 40, 52, 56, 64, 108 or 124",
               header.size);
  }
  file.bytes(file_header, header.size, "its header");
  read_info(file, header);
  require_known(header);
  header.colours_at = file_header + header.size;
  if (header.compression == bit_fields) {
    read_masks(file, header);
  } else if (header.bits == 16) {
    header.masks = {0x7C00, 0x3E0, 0x1F};
  } else {
    header.masks = {0xFF0000, 0xFF00, 0xFF};
  }
  const size_t most = header.bits <= 8 ? size_t{1} << header.bits : 0;
  header.colours = header.colours == 0 ? most : std::min(header.colours, most);
  header.pixels_at = file.number(10, 4, "its header");
  if (header.pixels_at == 0) {
    header.pixels_at = header.colours_at + header.colours * header.colour_size;
  }
  return header;
}

using Palette = std::array<std::array<uint8_t, 3>, 256>;

Palette read_palette(const ByteReader& file, const Header& header) {
  Palette palette;
  for (size_t i = 0; i < palette.size(); ++i) {
    palette[i].fill(static_cast<uint8_t>(i));
  }
  for (size_t i = 0; i < header.colours; ++i) {
    const std::string_view colour =
        file.bytes(header.colours_at + i * header.colour_size, 3, "its palette");
    for (size_t c = 0; c < 3; ++c) {
      palette[i][c] = static_cast<uint8_t>(colour[2 - c]);
    }
  }
  return palette;
}

/// Whether the colours are the grays of the indices, black and white where there are
/// two: such a file is gray.
bool is_gray(const Header& header, const Palette& palette) {
  for (size_t i = 0; i < header.colours; ++i) {
    const auto gray = static_cast<uint8_t>(header.colours == 2 ? 255 * i : i);
    if (palette[i] != std::array<uint8_t, 3>{gray, gray, gray}) {
      return false;
    }
  }
  return header.colours > 0;
}

/// One index a byte, rows from top to bottom.
class Indices {
 public:
  explicit Indices(const Header& header)
      : width_(header.width),
        height_(header.height),
        top_down_(header.top_down),
        values_(static_cast<size_t>(header.width * header.height)) {}

  /// `row` counts from the file's first one.
  uint8_t* row(int64_t row) {
    return values_.data() + (top_down_ ? row : height_ - 1 - row) * width_;
  }
  const std::vector<uint8_t>& values() const { return values_; }

 private:
  int64_t width_;
  int64_t height_;
  bool top_down_;
  std::vector<uint8_t> values_;
};

size_t stride_of(const Header& header) {
  return (static_cast<size_t>(header.width) * header.bits + 31) / 32 * 4;
}

void read_packed(const ByteReader& file, const Header& header, Indices& indices) {
  const size_t stride = stride_of(header);
  const size_t used = (static_cast<size_t>(header.width) * header.bits + 7) / 8;
  const uint32_t per_byte = 8 / header.bits;
  for (int64_t y = 0; y < header.height; ++y) {
    const std::string_view row =
        file.bytes(header.pixels_at + static_cast<size_t>(y) * stride, used, "its pixels");
    uint8_t* target = indices.row(y);
    for (int64_t x = 0; x < header.width; ++x) {
      const auto place = static_cast<uint32_t>(x) % per_byte;
      const auto byte = static_cast<uint8_t>(row[static_cast<size_t>(x) / per_byte]);
      target[x] =
          static_cast<uint8_t>(byte >> (8 - header.bits * (place + 1)) & ((1U << header.bits) - 1));
    }
  }
}

/// Run lengths: pairs of a count and a value; a count of 0 begins an end of line, of the bitmap, a
/// move or values as they are. What is not written is index 0.
class RunReader {
 public:
  RunReader(const ByteReader& file, const Header& header, Indices& indices)
      : file_(file), header_(header), indices_(indices), at_(header.pixels_at) {}

  void read() {
    while (y_ < header_.height) {
      const uint32_t count = next();
      const uint32_t value = next();
      if (count > 0) {
        run(count, value);
      } else if (value == 0) {
        x_ = 0;
        ++y_;
      } else if (value == 1) {
        return;
      } else if (value == 2) {
        x_ += next();
        y_ += next();
      } else {
        as_they_are(value);
      }
    }
  }

 private:
  uint32_t next() { return file_.number(at_++, 1, "its pixels"); }

  void put(uint32_t index) {
    if (x_ < header_.width && y_ < header_.height) {
      indices_.row(y_)[x_] = static_cast<uint8_t>(index);
      ++x_;
    }
  }

  void run(uint32_t count, uint32_t value) {
    for (uint32_t i = 0; i < count; ++i) {
      put(header_.bits == 8 ? value : (i % 2 == 0 ? value >> 4 : value & 15));
    }
  }

  void as_they_are(uint32_t count) {
    const size_t bytes = header_.bits == 8 ? count : (count + 1) / 2;
    uint32_t pair = 0;
    for (uint32_t i = 0; i < count; ++i) {
      if (header_.bits == 8) {
        put(next());
      } else {
        pair = i % 2 == 0 ? next() : pair;
        put(i % 2 == 0 ? pair >> 4 : pair & 15);
      }
    }
    at_ += bytes % 2;  // they end on an even place
  }

  const ByteReader& file_;
  const Header& header_;
  Indices& indices_;
  size_t at_;
  int64_t x_ = 0;
  int64_t y_ = 0;
};

Raster decode_indexed(const ByteReader& file, const Header& header) {
  const Palette palette = read_palette(file, header);
  Indices indices(header);
  if (header.compression == raw) {
    read_packed(file, header, indices);
  } else {
    RunReader(file, header, indices).read();
  }
  const bool gray = is_gray(header, palette);
  Raster raster = make_raster({gray ? 1 : 3, header.height, header.width});
  uint8_t* target = raster.pixels.get();
  for (const uint8_t index : indices.values()) {
    target = std::copy_n(palette[index].begin(), raster.shape.channels, target);
  }
  return raster;
}

/// The bits of a pixel that a mask chooses, as shares of 255.
uint8_t masked(uint32_t pixel, uint32_t mask) {
  const int shift = std::countr_zero(mask);
  const uint64_t most = mask >> shift;
  return static_cast<uint8_t>(((pixel & mask) >> shift) * 255ULL / most);
}

Raster decode_coloured(const ByteReader& file, const Header& header) {
  const size_t stride = stride_of(header);
  const size_t size = header.bits / 8;
  const size_t used = static_cast<size_t>(header.width) * size;
  Raster raster = make_raster({3, header.height, header.width});
  const bool plain =
      header.bits != 16 && header.masks == std::array<uint32_t, 3>{0xFF0000, 0xFF00, 0xFF};
  for (int64_t y = 0; y < header.height; ++y) {
    const std::string_view row =
        file.bytes(header.pixels_at + static_cast<size_t>(y) * stride, used, "its pixels");
    uint8_t* target = raster.row(header.top_down ? y : header.height - 1 - y);
    for (size_t at = 0; at < used; at += size, target += 3) {
      uint32_t pixel = 0;
      for (size_t i = 0; i < size; ++i) {
        pixel |= static_cast<uint32_t>(static_cast<uint8_t>(row[at + i])) << (8 * i);
      }
      for (size_t c = 0; c < 3; ++c) {
        target[c] =
            plain ? static_cast<uint8_t>(pixel >> (16 - 8 * c)) : masked(pixel, header.masks[c]);
      }
    }
  }
  return raster;
}

}  // namespace

Raster decode_bmp(std::string_view bytes, const ImageOptions& options) {
  const ByteReader file(bytes, "BMP");
  const Header header = read_header(file);
  require_size(header.width, header.height, options);
  // Run lengths may make any number of pixels of a few bytes; all others have them in the file.
  if (header.compression == raw || header.compression == bit_fields) {
    const size_t rows = static_cast<size_t>(header.height - 1) * stride_of(header);
    file.bytes(header.pixels_at, rows + (static_cast<size_t>(header.width) * header.bits + 7) / 8,
               "its pixels");
  }
  return header.bits <= 8 ? decode_indexed(file, header) : decode_coloured(file, header);
}

}  // namespace bissl
