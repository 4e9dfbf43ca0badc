#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bissl::host {

/// A picture of 8-bit red, green and blue, made of rectangles.
class Canvas {
 public:
  /// Filled with one gray. Sides are at least 1.
  Canvas(int64_t height, int64_t width, uint8_t gray);

  int64_t height() const { return height_; }
  int64_t width() const { return width_; }

  /// The three bytes of a pixel within the canvas.
  uint8_t* pixel(int64_t row, int64_t column) {
    return pixels_.data() + 3 * (row * width_ + column);
  }
  const uint8_t* pixel(int64_t row, int64_t column) const {
    return pixels_.data() + 3 * (row * width_ + column);
  }

  /// The content of a PNG file of it. Throws Error(run) where libspng cannot make one.
  std::string png() const;

 private:
  int64_t height_;
  int64_t width_;
  std::vector<uint8_t> pixels_;
};

}  // namespace bissl::host
