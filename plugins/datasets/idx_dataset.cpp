#include "idx_dataset.h"

#include "idx_reader.h"

#include "bissl/error.h"
#include "bissl/hash.h"

#include <algorithm>
#include <utility>

namespace bissl {
namespace {

constexpr int64_t side = 28;

}  // namespace

IdxDataset::IdxDataset(const IdxFiles& files, std::vector<std::string> class_names)
    : class_names_(std::move(class_names)) {
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
  const auto wrong = std::find_if(labels.bytes.begin(), labels.bytes.end(),
                                  [this](uint8_t label) { return label >= class_names_.size(); });
  if (wrong != labels.bytes.end()) {
    fail_input("{}: label {} of sample {} is out of range; expected 0 to {}", files.labels.string(),
               *wrong, wrong - labels.bytes.begin(), class_names_.size() - 1);
  }
  pixels_ = std::move(images.bytes);
  labels_ = std::move(labels.bytes);
  // The number of samples separates the pixels from the labels, so nothing else is needed between.
  fingerprint_ = Hasher()
                     .update(fmt::format("idx {} x {} x {}\n", labels_.size(), side, side))
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
  const ImageShape shape{1, side, side};
  return {{shape, pixels_.data() + index * shape.elements(), nullptr},
          {.category = labels_[static_cast<size_t>(index)]}};
}

Target IdxDataset::target(int64_t index) const {
  check_index(index);
  return {.category = labels_[static_cast<size_t>(index)]};
}

}  // namespace bissl
