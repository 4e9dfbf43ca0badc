#pragma once

#include "bissl/augmentation.h"
#include "bissl/image.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bissl::host {

/// An image with bytes around it that nobody may read or write. They have one of two patterns: a
/// view that changes with the pattern was made from bytes beside the image.
class Picture {
 public:
  enum class Content { noise, other_noise, rows, columns };

  explicit Picture(const ImageShape& shape, Content content = Content::noise);

  const ImageShape& shape() const { return shape_; }
  Image image() const { return {shape_, memory_.data() + guard_, nullptr}; }
  /// Other pixels at the same place.
  void paint(Content content);
  void surround(uint8_t pattern);
  /// Whether image and surroundings are as they were made.
  bool unchanged() const { return memory_ == expected_; }

 private:
  ImageShape shape_;
  size_t guard_;
  std::vector<uint8_t> memory_;
  std::vector<uint8_t> expected_;
};

std::string to_text(const ImageShape& shape);

/// What a view is written into, with floats around it that nobody may write.
class Canvas {
 public:
  /// The whole memory gets the pattern `number`; with `nan` the view itself is NaN at first.
  Canvas(const ImageShape& shape, int number, bool nan);

  std::span<float> view() { return {memory_.data() + guard_, size_}; }
  std::vector<float> copy() const;
  /// The first float beside the view that was written, as its distance from the view's begin; 0 if
  /// there is none.
  int64_t written_beside() const;

 private:
  float surroundings(size_t place) const;

  int number_;
  size_t size_;
  size_t guard_;
  std::vector<float> memory_;
};

}  // namespace bissl::host
