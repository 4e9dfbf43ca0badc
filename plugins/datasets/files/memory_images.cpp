#include "memory_images.h"

#include "bissl/error.h"
#include "bissl/hash.h"

#include <utility>

namespace bissl {

MemoryImages::MemoryImages(ImageBlock block) : block_(std::move(block)) {
  Hasher hasher;
  hasher.update(fmt::format("{} images of {} x {} x {}\n", block_.labels.size(),
                            block_.shape.height, block_.shape.width, block_.shape.channels));
  for (const std::string& name : block_.class_names) {
    hasher.update(fmt::format("{} ", name.size())).update(name);
  }
  fingerprint_ = hasher.update("\n")
                     .update(block_.pixels.data(), block_.pixels.size())
                     .update(block_.labels.data(), block_.labels.size())
                     .hex();
}

Sample MemoryImages::get(int64_t index) const {
  Target known = target(index);
  return {{block_.shape, block_.pixels.data() + index * block_.shape.elements(), nullptr},
          std::move(known)};
}

Target MemoryImages::target(int64_t index) const {
  check_index(index, size());
  return {.category = block_.labels[static_cast<size_t>(index)]};
}

void interleave(const uint8_t* from, const ImageShape& shape, PixelOrder order, uint8_t* to) {
  const int64_t row_step = order == PixelOrder::rows ? shape.width : 1;
  const int64_t column_step = order == PixelOrder::rows ? 1 : shape.height;
  for (int64_t y = 0; y < shape.height; ++y) {
    for (int64_t x = 0; x < shape.width; ++x) {
      const uint8_t* const pixel = from + y * row_step + x * column_step;
      for (int64_t c = 0; c < shape.channels; ++c) {
        *to++ = pixel[c * shape.height * shape.width];
      }
    }
  }
}

void check_index(int64_t index, int64_t size) {
  if (index < 0 || index >= size) {
    fail_run("sample {} asked for, but there are only 0 to {}", index, size - 1);
  }
}

}  // namespace bissl
