#include "idx_dataset.h"

#include "idx_reader.h"

#include "bissl/error.h"
#include "bissl/hash.h"

#include <iterator>
#include <utility>

namespace bissl {
namespace {

constexpr int64_t side = 28;

/// Exchanges rows and columns of each image.
void transpose(std::vector<uint8_t>& pixels) {
  constexpr size_t area = static_cast<size_t>(side * side);
  for (size_t image = 0; image + area <= pixels.size(); image += area) {
    for (size_t y = 0; y < side; ++y) {
      for (size_t x = y + 1; x < side; ++x) {
        std::swap(pixels[image + y * side + x], pixels[image + x * side + y]);
      }
    }
  }
}

/// Each value as many times in a row as there are channels.
std::vector<uint8_t> repeated(const std::vector<uint8_t>& gray, int64_t channels) {
  std::vector<uint8_t> pixels;
  pixels.reserve(gray.size() * static_cast<size_t>(channels));
  for (const uint8_t value : gray) {
    pixels.insert(pixels.end(), static_cast<size_t>(channels), value);
  }
  return pixels;
}

/// Renumbers labels from `first` on to 0 and up.
void check_labels(const IdxFiles& files, std::vector<uint8_t>& labels, int64_t first,
                  int64_t classes) {
  for (uint8_t& label : labels) {
    if (label < first || label >= first + classes) {
      fail_input("{}: label {} of sample {} is out of range; expected {} to {}",
                 files.labels.string(), label, &label - labels.data(), first, first + classes - 1);
    }
    label = static_cast<uint8_t>(label - first);
  }
}

}  // namespace

IdxDataset::IdxDataset(const IdxFiles& files, IdxMeaning meaning)
    : channels_(meaning.channels), class_names_(std::move(meaning.class_names)) {
  IdxArray images = read_idx(files.images, 3, "images");
  IdxArray labels = read_idx(files.labels, 1, "labels");
  if (images.dimensions[1] != side || images.dimensions[2] != side) {
    fail_input("{}: holds images of {} x {} pixels; expected {} x {}", files.images.string(),
               images.dimensions[1], images.dimensions[2], side, side);
  }
  if (images.dimensions[0] != labels.dimensions[0]) {
    fail_input("{}: holds {} labels, but {} holds {} images; both must be of the same set",
               files.labels.string(), labels.dimensions[0], files.images.string(),
               images.dimensions[0]);
  }
  check_labels(files, labels.bytes, meaning.first_label, std::ssize(class_names_));
  if (meaning.transposed) {
    transpose(images.bytes);
  }
  pixels_ = channels_ == 1 ? std::move(images.bytes) : repeated(images.bytes, channels_);
  labels_ = std::move(labels.bytes);
  // The number of samples separates the pixels from the labels, so nothing else is needed between.
  const std::string layers = channels_ == 1 ? "" : fmt::format(" x {}", channels_);
  fingerprint_ =
      Hasher()
          .update(fmt::format("idx {} x {} x {}{}\n", labels_.size(), side, side, layers))
          .update(pixels_.data(), pixels_.size())
          .update(labels_.data(), labels_.size())
          .hex();
}

void IdxDataset::check_index(int64_t index) const {
  if (index < 0 || index >= size()) {
    fail_run("sample {} asked for, but there are only 0 to {}", index, size() - 1);
  }
}

Sample IdxDataset::get(int64_t index) const {
  check_index(index);
  const ImageShape shape{channels_, side, side};
  return {{shape, pixels_.data() + index * shape.elements(), nullptr},
          {.category = labels_[static_cast<size_t>(index)]}};
}

Target IdxDataset::target(int64_t index) const {
  check_index(index);
  return {.category = labels_[static_cast<size_t>(index)]};
}

}  // namespace bissl
