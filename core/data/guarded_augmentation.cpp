#include "data/guarded_augmentation.h"

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
  ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                     std::span<float> output) const override {
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
