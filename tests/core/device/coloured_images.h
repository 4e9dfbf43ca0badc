#pragma once

#include "bissl/dataset.h"
#include "core/device/trainings.h"
#include "data/batches.h"
#include "data/guarded_augmentation.h"
#include "data/selection.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host::test {

/// 24 images in colour, of three sizes.
class ColouredImages : public Dataset {
 public:
  int64_t size() const override { return 24; }
  Sample get(int64_t index) const override {
    const ImageShape shape{3, 32 + 7 * (index % 3), 40};
    auto pixels = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(shape.elements()));
    RandomStream noise(3, "coloured images", 0, static_cast<uint64_t>(index));
    for (uint8_t& pixel : *pixels) {
      pixel = static_cast<uint8_t>(noise.below(256));
    }
    const uint8_t* data = pixels->data();
    return {.image = {shape, data, std::move(pixels)}};
  }
  TargetSpec targets() const override { return {}; }
  std::string fingerprint() const override { return "coloured"; }
};

/// Batches of SimCLR's views of them, two of each, made by the device where that is no processor.
inline std::shared_ptr<const BatchSource> simclr_batches(c10::Device device) {
  const ComponentChoice recipe =
      choose(ComponentKind::augmentation, "image-augmentations", "simclr",
             {{"size", int64_t{24}}, {"hue", 0.2}, {"solarize_probability", 0.3}});
  return std::make_shared<const BatchSource>(
      std::make_shared<const DataView>(std::make_shared<ColouredImages>(), SelectionOptions{}),
      create_guarded_augmentation(recipe), "augment (test)",
      BatchOptions{.batch = 8,
                   .views = 2,
                   .seed = 5,
                   .purpose = "test",
                   .geometry = true,
                   .device = device});
}

}  // namespace bissl::host::test
