#pragma once

#include "data/batches.h"
#include "data/guarded_augmentation.h"

#include "bissl/error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {

/// Images of one pixel, whose value is the sample's index. At most 256 samples.
class FakeDataset : public Dataset {
 public:
  FakeDataset(std::vector<int64_t> labels, std::vector<std::string> classes)
      : labels_(std::move(labels)), classes_(std::move(classes)) {}

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  Sample get(int64_t index) const override {
    if (index == broken_sample) {
      fail_input("sample {} is damaged", index);
    }
    Sample sample;
    sample.image.shape = index == odd_sample ? ImageShape{1, 2, 5} : ImageShape{1, 1, 1};
    auto pixels = std::make_shared<std::vector<uint8_t>>(
        static_cast<size_t>(sample.image.shape.elements()), static_cast<uint8_t>(index));
    sample.image.pixels = pixels->data();
    sample.image.owner = std::move(pixels);
    sample.target = target(index);
    return sample;
  }
  Target target(int64_t index) const override {
    return {.category = labels_.at(static_cast<size_t>(index))};
  }
  TargetSpec targets() const override {
    return classes_.empty() ? TargetSpec{} : TargetSpec::named(TargetKind::category, classes_);
  }
  std::string fingerprint() const override {
    ++fingerprints;
    return "fake";
  }

  int64_t broken_sample = -1;                 ///< cannot be read
  int64_t odd_sample = -1;                    ///< has another shape
  mutable std::atomic<int> fingerprints = 0;  ///< how often it was asked for

 private:
  std::vector<int64_t> labels_;
  std::vector<std::string> classes_;
};

/// `count` samples without labels.
inline std::shared_ptr<FakeDataset> unlabelled(size_t count) {
  return std::make_shared<FakeDataset>(std::vector<int64_t>(count, -1), std::vector<std::string>{});
}

/// Views of two numbers: the image's pixel, and what the random stream gives plus the view's
/// number.
class FakeAugmentation : public Augmentation {
 public:
  ImageShape view_shape(const ImageShape& input, int64_t /*view*/) const override {
    return {1, input.height, input.width + 1};
  }
  ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                     std::span<float> output) const override {
    ++calls;
    output[0] = image.pixels[0];
    output[1] = static_cast<float>(stream.uniform()) + static_cast<float>(view);
    return {.x0 = static_cast<double>(view)};
  }
  mutable std::atomic<int64_t> calls = 0;
};

/// Names the augmentation in errors.
inline ComponentChoice fake_choice() {
  auto component = std::make_shared<RegisteredComponent>();
  component->info.kind = ComponentKind::augmentation;
  component->info.text.name = "blur";
  component->library.path = "/lib/blurs.so";
  return {std::move(component), {}, "p.toml:3:1"};
}

inline std::shared_ptr<const BatchSource> source_of(std::shared_ptr<const Dataset> dataset,
                                                    BatchOptions options) {
  return std::make_shared<const BatchSource>(
      std::make_shared<const DataView>(std::move(dataset), SelectionOptions{}),
      guarded(std::make_shared<FakeAugmentation>(), fake_choice()), "augment (p.toml:3:1)",
      std::move(options));
}

/// Whether the views are the same to the bit.
inline bool equal(const Views& left, const Views& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const at::Tensor& x, const at::Tensor& y) { return x.equal(y); });
}

/// Where a view of a sample lies in its image.
inline ViewGeometry geometry_of(const Batch& batch, size_t view, int64_t sample) {
  const at::Tensor rows = batch.geometry.at(view)[sample].to(at::kDouble).contiguous();
  const double* numbers = rows.data_ptr<double>();
  return {.xx = numbers[0],
          .xy = numbers[1],
          .x0 = numbers[2],
          .yx = numbers[3],
          .yy = numbers[4],
          .y0 = numbers[5]};
}

/// The samples in a batch, by their pixel in the first view.
inline std::vector<int64_t> samples(const Batch& batch) {
  std::vector<int64_t> found;
  for (int64_t i = 0; i < batch.views[0].size(0); ++i) {
    found.push_back(static_cast<int64_t>(batch.views[0][i].flatten()[0].item<float>()));
  }
  return found;
}

/// The text of the Error that `function` throws.
template <class Function>
std::string error_of(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "no error";
}

}  // namespace bissl::host::test
