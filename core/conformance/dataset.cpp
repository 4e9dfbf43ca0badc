#include "bissl/dataset.h"
#include "conformance/checker.h"

#include <algorithm>
#include <cstring>
#include <set>

namespace bissl {
namespace {

/// Up to `most` indices, from both ends and between.
std::vector<int64_t> some_indices(int64_t size, int64_t most) {
  std::set<int64_t> indices;
  for (int64_t i = 0; i < std::min(size, most); ++i) {
    indices.insert(i * (size - 1) / std::max<int64_t>(1, std::min(size, most) - 1));
  }
  return {indices.begin(), indices.end()};
}

/// A copy of a sample that lives longer than its dataset.
struct Copy {
  ImageShape shape;
  std::vector<uint8_t> pixels;
  int64_t label = -1;
  bool operator==(const Copy&) const = default;
};

Copy copy_of(const Dataset& dataset, int64_t index) {
  const Sample sample = dataset.get(index);
  const Image& image = sample.image;
  require(image.pixels != nullptr, "sample {} has no pixels", index);
  require(image.shape.channels == 1 || image.shape.channels == 3,
          "sample {} has {} channels, not 1 or 3", index, image.shape.channels);
  require(image.shape.height > 0 && image.shape.width > 0, "sample {} is of {}x{} pixels", index,
          image.shape.height, image.shape.width);
  // Every byte that is promised is read, so one that is not there shows.
  return {image.shape, {image.pixels, image.pixels + image.shape.elements()}, sample.label};
}

void check_threads(const Dataset& dataset, const std::vector<int64_t>& indices) {
  std::vector<Copy> expected;
  for (const int64_t index : indices) {
    expected.push_back(copy_of(dataset, index));
  }
  require_in_threads([&](size_t thread) -> std::string {
    for (size_t i = 0; i < 2 * indices.size(); ++i) {
      const size_t place = (i * (thread + 1) + thread) % indices.size();
      if (copy_of(dataset, indices[place]) != expected[place]) {
        return fmt::format("sample {} came out different", indices[place]);
      }
    }
    return "";
  });
}

}  // namespace

void check_dataset(Checker& checker) {
  std::shared_ptr<Dataset> dataset;
  if (!checker.check("has samples", [&] {
        dataset = checker.make<Dataset>();
        require(dataset->size() > 0, "size() is {}", dataset->size());
      })) {
    return;
  }
  const std::vector<int64_t> indices = some_indices(dataset->size(), 64);
  checker.check("images are 8-bit with 1 or 3 channels, each byte readable", [&] {
    for (const int64_t index : indices) {
      copy_of(*dataset, index);
    }
  });
  checker.check("labels lie within the class names, and label() agrees with get()", [&] {
    const auto classes = static_cast<int64_t>(dataset->class_names().size());
    for (const int64_t index : indices) {
      const int64_t label = dataset->get(index).label;
      require(classes == 0 ? label == -1 : label >= 0 && label < classes,
              "sample {} has label {} with {} class names", index, label, classes);
      require(dataset->label(index) == label, "label({}) is {}, get({}).label is {}", index,
              dataset->label(index), index, label);
    }
  });
  checker.check("a sample is the same each time, from each instance", [&] {
    const auto second = checker.make<Dataset>();
    require(second->size() == dataset->size(), "a second instance has {} samples, the first {}",
            second->size(), dataset->size());
    for (const int64_t index : indices) {
      const Copy first = copy_of(*dataset, index);
      require(copy_of(*dataset, index) == first, "sample {} differs at a second call", index);
      require(copy_of(*second, index) == first, "sample {} differs in a second instance", index);
    }
  });
  checker.check("an image outlives its dataset if it says so", [&] {
    auto second = checker.make<Dataset>();
    const Sample sample = second->get(0);
    const Copy before = copy_of(*second, 0);
    if (sample.image.owner) {
      second.reset();
      require(std::memcmp(sample.image.pixels, before.pixels.data(), before.pixels.size()) == 0,
              "the pixels of an image with an owner changed when its dataset went");
    }
  });
  checker.check("the fingerprint is a text that stays the same", [&] {
    const std::string fingerprint = dataset->fingerprint();
    require(!fingerprint.empty(), "it is empty");
    require(dataset->fingerprint() == fingerprint, "it differs at a second call");
    require(checker.make<Dataset>()->fingerprint() == fingerprint,
            "it differs in a second instance");
  });
  checker.check("several threads read at once", [&] { check_threads(*dataset, indices); });
}

}  // namespace bissl
