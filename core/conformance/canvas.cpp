#include "conformance/canvas.h"

#include "bissl/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace bissl::host {
namespace {

/// So wide that a view of twice the height, the width or the channels ends within it.
size_t guard_for(int64_t elements) {
  constexpr int64_t least = 4096;
  constexpr int64_t most = int64_t{1} << 19;
  return static_cast<size_t>(std::clamp(3 * elements, least, most));
}

}  // namespace

std::string to_text(const ImageShape& shape) {
  return fmt::format("{}x{}x{}", shape.channels, shape.height, shape.width);
}

Picture::Picture(const ImageShape& shape, Content content)
    : shape_(shape),
      guard_(guard_for(shape.elements())),
      memory_(2 * guard_ + static_cast<size_t>(shape.elements())) {
  surround(0);
  paint(content);
}

void Picture::paint(Content content) {
  RandomStream stream(5, content == Content::other_noise ? "conformance/other" : "conformance");
  std::vector<uint8_t> stripes;
  for (int64_t i = 0; i < std::max(shape_.height, shape_.width); ++i) {
    stripes.push_back(static_cast<uint8_t>(stream.below(256)));
  }
  uint8_t* pixel = memory_.data() + guard_;
  for (int64_t y = 0; y < shape_.height; ++y) {
    for (int64_t x = 0; x < shape_.width; ++x) {
      for (int64_t c = 0; c < shape_.channels; ++c) {
        *pixel++ = content == Content::rows      ? stripes[static_cast<size_t>(y)]
                   : content == Content::columns ? stripes[static_cast<size_t>(x)]
                                                 : static_cast<uint8_t>(stream.below(256));
      }
    }
  }
  expected_ = memory_;
}

void Picture::surround(uint8_t pattern) {
  // Odd differences, so that each bit of a byte changes somewhere.
  for (size_t i = 0; i < guard_; ++i) {
    memory_[i] = static_cast<uint8_t>(pattern + 37 * i);
    memory_[memory_.size() - 1 - i] = static_cast<uint8_t>(pattern + 91 * i);
  }
  expected_ = memory_;
}

Canvas::Canvas(const ImageShape& shape, int number, bool nan)
    : number_(number),
      size_(static_cast<size_t>(shape.elements())),
      guard_(guard_for(shape.elements())),
      memory_(2 * guard_ + size_) {
  for (size_t i = 0; i < memory_.size(); ++i) {
    memory_[i] = surroundings(i);
  }
  if (nan) {
    std::fill_n(memory_.begin() + static_cast<std::ptrdiff_t>(guard_), size_,
                std::numeric_limits<float>::quiet_NaN());
  }
}

float Canvas::surroundings(size_t place) const {
  // Numbers, not NaN: what is added to them must show. Each differs from its neighbours.
  return number_ == 0 ? 1000.5F + static_cast<float>(place % 97)
                      : -7000.25F - static_cast<float>(place % 89);
}

std::vector<float> Canvas::copy() const {
  const auto begin = memory_.begin() + static_cast<std::ptrdiff_t>(guard_);
  return {begin, begin + static_cast<std::ptrdiff_t>(size_)};
}

int64_t Canvas::written_beside() const {
  const auto written = [&](size_t place) {
    const float expected = surroundings(place);
    return std::memcmp(&memory_[place], &expected, sizeof(float)) != 0;
  };
  for (size_t place = guard_ + size_; place < memory_.size(); ++place) {
    if (written(place)) {
      return static_cast<int64_t>(place - guard_);
    }
  }
  for (size_t place = guard_; place > 0; --place) {
    if (written(place - 1)) {
      return static_cast<int64_t>(place) - 1 - static_cast<int64_t>(guard_);
    }
  }
  return 0;
}

}  // namespace bissl::host
