#include "data/guarded_augmentation.h"

#include "bissl/error.h"
#include "plugins/guard.h"

#include <utility>

namespace bissl::host {
namespace {

class GuardedAugmentation : public Guarded<Augmentation> {
 public:
  using Guarded::Guarded;

  ImageShape view_shape(const ImageShape& input, int64_t view) const override {
    return call("view_shape",
                [&](const Augmentation& inner) { return inner.view_shape(input, view); });
  }
  bool takes(PixelType type) const override {
    return call("takes", [&](const Augmentation& inner) { return inner.takes(type); });
  }
  ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                     std::span<float> output) const override {
    if (image.type != PixelType::uint8 && !takes(image.type)) {
      fail_input(
          "{} takes 8-bit pixels, but the images have samples of 16 bits: take a chain of "
          "transforms, such as to-planes or resize, in its place",
          choice().describe());
    }
    return call("apply", [&](const Augmentation& inner) {
      return inner.apply(image, view, stream, output);
    });
  }
};

}  // namespace

std::shared_ptr<const Augmentation> guarded(std::shared_ptr<Augmentation> augmentation,
                                            const ComponentChoice& choice) {
  return std::make_shared<GuardedAugmentation>(choice, std::move(augmentation));
}

std::shared_ptr<const Augmentation> create_guarded_augmentation(const ComponentChoice& choice) {
  return make_guard<GuardedAugmentation, Augmentation>(choice, AugmentationContext{});
}

}  // namespace bissl::host
