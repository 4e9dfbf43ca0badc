#pragma once

#include <string>

namespace bissl::host::test {

/// A made-up photo as a PPM file: stripes, upright ones or across, whose place and colour depend on
/// `number`.
inline std::string striped_photo(int width, int height, bool upright, int number) {
  std::string text = "P6 " + std::to_string(width) + " " + std::to_string(height) + " 255\n";
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int stripe = ((upright ? x : y) + number) / 3 % 2;
      text += static_cast<char>(40 + 170 * stripe);
      text += static_cast<char>(60 + (number * 37 + x) % 90);
      text += static_cast<char>(200 - 120 * stripe);
    }
  }
  return text;
}

}  // namespace bissl::host::test
