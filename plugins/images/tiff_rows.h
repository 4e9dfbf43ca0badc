#pragma once

#include "samples.h"
#include "tiff_file.h"

#include <tiffio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace bissl::tiff_file {

/// Turns rows of samples, as the library gives them, into those of the raster: `Out` is uint8_t, or
/// uint16_t for samples of more than 8 bits.
template <class Out>
class RowReader {
 public:
  RowReader(const Layout& layout, const SampleScale& scale) : layout_(layout), scale_(scale) {}

  /// The first `count` samples of a row.
  void read(const uint8_t* row, int64_t count, Out* target) const {
    const bool is_signed = layout_.format == SAMPLEFORMAT_INT;
    switch (layout_.bits) {
      case 8:
        read_bytes(row, count, target);
        return;
      case 16:
        is_signed ? read_as<int16_t>(row, count, target) : read_as<uint16_t>(row, count, target);
        return;
      case 32:
        if (layout_.format == SAMPLEFORMAT_IEEEFP) {
          read_as<float>(row, count, target);
        } else {
          is_signed ? read_as<int32_t>(row, count, target) : read_as<uint32_t>(row, count, target);
        }
        return;
      case 64:
        read_as<double>(row, count, target);
        return;
      default:
        read_packed(row, count, target);
    }
  }

 private:
  void read_bytes(const uint8_t* samples, int64_t count, Out* target) const {
    const int flip = layout_.format == SAMPLEFORMAT_INT ? 0x80 : 0;
    for (int64_t i = 0; i < count; ++i) {
      target[i] = static_cast<Out>(samples[i] ^ flip);
    }
  }

  template <class Sample>
  void read_as(const uint8_t* row, int64_t count, Out* target) const {
    for (int64_t i = 0; i < count; ++i) {
      Sample sample;
      std::memcpy(&sample, row + i * static_cast<int64_t>(sizeof sample), sizeof sample);
      if (scale_.given()) {
        target[i] = scale_.by_range<Out>(static_cast<double>(sample));
      } else if constexpr (std::is_integral_v<Sample>) {
        // The highest bits; of signed samples those of the distance to the smallest one.
        constexpr auto bits = 8 * sizeof sample;
        using Unsigned = std::make_unsigned_t<Sample>;
        constexpr auto offset =
            static_cast<Unsigned>(std::is_signed_v<Sample> ? Unsigned{1} << (bits - 1) : 0);
        const auto distance = static_cast<Unsigned>(static_cast<Unsigned>(sample) + offset);
        target[i] = static_cast<Out>(distance >> (bits - 8 * sizeof(Out)));
      }
    }
  }

  /// Samples beside each other without a gap, the highest bit first.
  void read_packed(const uint8_t* row, int64_t count, Out* target) const {
    const unsigned bits = layout_.bits;
    int64_t at = 0;
    for (int64_t i = 0; i < count; ++i) {
      uint32_t sample = 0;
      for (unsigned taken = 0; taken < bits;) {
        const auto place = static_cast<unsigned>(at % 8);
        const unsigned now = std::min(8 - place, bits - taken);
        sample = sample << now | ((row[at / 8] >> (8 - place - now)) & ((1U << now) - 1));
        taken += now;
        at += now;
      }
      target[i] = packed(sample);
    }
  }

  Out packed(uint32_t sample) const {
    if (layout_.meaning == PHOTOMETRIC_PALETTE) {
      return static_cast<Out>(sample);
    }
    if (layout_.bits > 8 && scale_.given()) {
      return scale_.by_range<Out>(sample);
    }
    if (layout_.bits > 8) {
      return static_cast<Out>(sample << (16 - layout_.bits) >> (16 - 8 * sizeof(Out)));
    }
    return static_cast<Out>(sample * 255 / ((1U << layout_.bits) - 1));
  }

  const Layout& layout_;
  const SampleScale& scale_;
};

}  // namespace bissl::tiff_file
