#include "data/guarded_augmentation.h"

#include "bissl/error.h"
#include "data/planned_views.h"
#include "plugins/guard.h"

#include <utility>

namespace bissl::host {
namespace {

class GuardedPlannedViews final : public GuardedAbility<PlannedViews> {
 public:
  using GuardedAbility::GuardedAbility;

  ViewGeometry plan(int64_t view, RandomStream& stream, PlannedView& planned) const override {
    return call("plan", [&](const auto& inner) { return inner.plan(view, stream, planned); });
  }
};

class GuardedAugmentation : public Guarded<Augmentation, GuardedPlannedViews>,
                            public PlannedAugmentation {
 public:
  GuardedAugmentation(const ComponentChoice& choice, std::shared_ptr<Augmentation> inner)
      : Guarded(choice, std::move(inner)),
        planned_(static_cast<const PlannedViews*>(Guarded::capability(PlannedViews::id))) {}

  ImageShape view_shape(const ImageShape& input, int64_t view) const override {
    return call("view_shape",
                [&](const Augmentation& inner) { return inner.view_shape(input, view); });
  }
  bool takes(PixelType type) const override {
    return call("takes", [&](const Augmentation& inner) { return inner.takes(type); });
  }
  ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                     std::span<float> output) const override {
    require_takes(image.type);
    return call("apply", [&](const Augmentation& inner) {
      return inner.apply(image, view, stream, output);
    });
  }

  std::string obstacle(int64_t /*view*/) const override {
    return planned_ == nullptr ? choice().describe() : "";
  }
  ViewGeometry plan(const Image& image, int64_t view, RandomStream& stream,
                    PlannedView& planned) const override {
    require_takes(image.type);
    return planned_->plan(view, stream, planned);
  }

 private:
  void require_takes(PixelType type) const {
    if (type != PixelType::uint8 && !takes(type)) {
      fail_input(
          "{} takes 8-bit pixels, but the images have samples of 16 bits: take a chain of "
          "transforms, such as to-planes or resize, in its place",
          choice().describe());
    }
  }

  const PlannedViews* planned_;  ///< the component's ability, guarded; null for none
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
