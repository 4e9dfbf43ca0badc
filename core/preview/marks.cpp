#include "preview/marks.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bissl::host {
namespace {

/// Of the characters from 32 to 126: seven rows of five dots, the first one in the highest of 35
/// bits.
constexpr std::array<uint64_t, 95> letters = {
    0x000000000, 0x108421004, 0x294000000, 0x295f57d4a, 0x11f4717c4, 0x672222273, 0x324c4564d,
    0x108000000, 0x088842082, 0x208210888, 0x02aefbaa0, 0x0084f9080, 0x000001088, 0x0000f8000,
    0x00000018c, 0x042222210, 0x3a33ae62e, 0x11942109f, 0x3a211111f, 0x3a213062e, 0x08ca97c42,
    0x7e1e0862e, 0x1910f462e, 0x7c2211084, 0x3a317462e, 0x3a317844c, 0x018c03180, 0x008401088,
    0x088882082, 0x001f07c00, 0x208208888, 0x3a2131004, 0x3a37ada0f, 0x11518fe31, 0x7a31f463e,
    0x3a308422e, 0x72518c65c, 0x7e10f421f, 0x7e10f4210, 0x3a309c62f, 0x4631fc631, 0x38842108e,
    0x1c4210a4c, 0x4654c5251, 0x42108421f, 0x4775ac631, 0x4735ace31, 0x3a318c62e, 0x7a31f4210,
    0x3a318d64d, 0x7a31f5251, 0x3e107043e, 0x7c8421084, 0x46318c62e, 0x46318a944, 0x4631ad771,
    0x462a22a31, 0x462a21084, 0x7c222221f, 0x39084210e, 0x420820821, 0x38421084e, 0x115100000,
    0x00000001f, 0x208000000, 0x000e0be2f, 0x421e8c63e, 0x000e8420e, 0x042f8c62f, 0x000e8fe0e,
    0x191e42108, 0x000f8bc2e, 0x421e8c631, 0x100c2108e, 0x08061084c, 0x4212a6292, 0x30842108e,
    0x001ead6b5, 0x001e8c631, 0x000e8c62e, 0x001e8fa10, 0x000f8bc21, 0x0016cc210, 0x000f8383e,
    0x211e42126, 0x00118c62f, 0x00118c544, 0x0011ad6aa, 0x001151151, 0x00118bc2e, 0x001f1111f,
    0x088441082, 0x108421084, 0x208411088, 0x0009b0000,
};
constexpr uint64_t unknown_letter = 0x7e318c63f;
constexpr int64_t letter_width = 5;

uint64_t letter_of(unsigned char byte) {
  if (byte < 32) {
    return letters[0];
  }
  return byte < 127 ? letters[byte - 32U] : unknown_letter;
}

/// Whether a byte of UTF-8 continues a letter.
bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

void blend(Canvas& canvas, int64_t row, int64_t column, const Colour& colour, double share) {
  if (row < 0 || row >= canvas.height() || column < 0 || column >= canvas.width()) {
    return;
  }
  uint8_t* pixel = canvas.pixel(row, column);
  for (size_t i = 0; i < colour.size(); ++i) {
    pixel[i] = static_cast<uint8_t>(std::lround((1 - share) * pixel[i] + share * colour[i]));
  }
}

}  // namespace

Colour hsl_colour(double hue, double saturation, double lightness) {
  const double chroma = (1 - std::abs(2 * lightness - 1)) * saturation;
  Colour colour{};
  for (size_t i = 0; i < colour.size(); ++i) {
    // Red is full around 0 degrees, green around 120, blue around 240.
    const double turn = std::fmod(hue - 120.0 * static_cast<double>(i) + 720, 360) / 60;
    const double far = std::min(turn, 6 - turn);
    const double share = std::clamp(2 - far, 0.0, 1.0);
    colour[i] = static_cast<uint8_t>(std::lround(255 * (lightness + chroma * (share - 0.5))));
  }
  return colour;
}

void draw_dot(Canvas& canvas, double x, double y, double radius, const Colour& colour,
              double opacity) {
  const auto first_row = static_cast<int64_t>(std::floor(y - radius - 1));
  const auto first_column = static_cast<int64_t>(std::floor(x - radius - 1));
  const auto size = static_cast<int64_t>(std::ceil(2 * radius + 3));
  for (int64_t row = first_row; row < first_row + size; ++row) {
    for (int64_t column = first_column; column < first_column + size; ++column) {
      const double far =
          std::hypot(static_cast<double>(column) + 0.5 - x, static_cast<double>(row) + 0.5 - y);
      if (const double covered = std::clamp(radius + 0.5 - far, 0.0, 1.0); covered > 0) {
        blend(canvas, row, column, colour, covered * opacity);
      }
    }
  }
}

void draw_area(Canvas& canvas, int64_t left, int64_t top, int64_t width, int64_t height,
               const Colour& colour, double opacity) {
  for (int64_t row = top; row < top + height; ++row) {
    for (int64_t column = left; column < left + width; ++column) {
      blend(canvas, row, column, colour, opacity);
    }
  }
}

void draw_outline(Canvas& canvas, int64_t left, int64_t top, int64_t width, int64_t height,
                  const Colour& colour) {
  for (int64_t column = left; column < left + width; ++column) {
    blend(canvas, top, column, colour, 1);
    blend(canvas, top + height - 1, column, colour, 1);
  }
  for (int64_t row = top + 1; row < top + height - 1; ++row) {
    blend(canvas, row, left, colour, 1);
    blend(canvas, row, left + width - 1, colour, 1);
  }
}

int64_t letters_in(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return !continues(byte); });
}

void draw_text(Canvas& canvas, int64_t left, int64_t top, const std::string& text, int64_t scale,
               const Colour& colour) {
  for (const char byte : text) {
    if (continues(byte)) {
      continue;
    }
    const uint64_t dots = letter_of(static_cast<unsigned char>(byte));
    for (int64_t i = 0; i < letter_width * letter_height; ++i) {
      if ((dots >> static_cast<uint64_t>(letter_width * letter_height - 1 - i) & 1U) == 0) {
        continue;
      }
      for (int64_t row = 0; row < scale; ++row) {
        for (int64_t column = 0; column < scale; ++column) {
          blend(canvas, top + i / letter_width * scale + row,
                left + i % letter_width * scale + column, colour, 1);
        }
      }
    }
    left += letter_step * scale;
  }
}

}  // namespace bissl::host
