#include "data/view_maker.h"

#include "data/augmentation_with_tail.h"
#include "data/chain.h"
#include "data/guarded_augmentation.h"
#include "data/planned_views.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

/// What makes the views of a group, and the same as one that may have a tail; null for none.
struct Maker {
  std::shared_ptr<const Augmentation> augmentation;
  std::shared_ptr<const AugmentationWithTail> chain;
  /// As one whose views may be planned, as those of all that the host makes.
  const PlannedAugmentation& planned() const {
    return dynamic_cast<const PlannedAugmentation&>(*augmentation);
  }
};

Maker make_augmentation(const AugmentChoice& choice) {
  if (!choice.is_chain) {
    return {create_guarded_augmentation(choice.steps.front()), nullptr};
  }
  const auto chain = make_chain(choice.steps);
  return {chain, chain};
}

/// Views of several groups.
class GroupedViews : public AugmentationWithTail, public PlannedAugmentation {
 public:
  explicit GroupedViews(const ViewsChoice& choice) {
    for (const ViewGroup& group : choice.groups) {
      makers_.push_back(make_augmentation(group.augment));
      group_of_.insert(group_of_.end(), static_cast<size_t>(group.count), makers_.size() - 1);
    }
  }

  ImageShape view_shape(const ImageShape& input, int64_t view) const override {
    return maker(view).augmentation->view_shape(input, view);
  }
  bool takes(PixelType type) const override {
    return std::all_of(makers_.begin(), makers_.end(),
                       [&](const auto& maker) { return maker.augmentation->takes(type); });
  }
  ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                     std::span<float> output) const override {
    return maker(view).augmentation->apply(image, view, stream, output);
  }
  bool has_tail(int64_t view) const override {
    return maker(view).chain != nullptr && maker(view).chain->has_tail(view);
  }
  ViewGeometry apply_head(const Image& image, int64_t view, RandomStream& stream,
                          std::span<float> output) const override {
    return has_tail(view) ? maker(view).chain->apply_head(image, view, stream, output)
                          : apply(image, view, stream, output);
  }
  void apply_tail(const at::Tensor& images, int64_t view, std::span<const RandomStream> streams,
                  std::span<ViewGeometry> geometry) const override {
    if (has_tail(view)) {
      maker(view).chain->apply_tail(images, view, streams, geometry);
    }
  }
  std::string obstacle(int64_t view) const override { return maker(view).planned().obstacle(view); }
  ViewGeometry plan(const Image& image, int64_t view, RandomStream& stream,
                    PlannedView& planned) const override {
    return maker(view).planned().plan(image, view, stream, planned);
  }

 private:
  const Maker& maker(int64_t view) const {
    const auto number = static_cast<size_t>(view);
    return makers_[number < group_of_.size() ? group_of_[number] : makers_.size() - 1];
  }

  std::vector<Maker> makers_;
  std::vector<size_t> group_of_;  ///< by the view's number
};

}  // namespace

std::shared_ptr<const Augmentation> make_augmentation(const ViewsChoice& choice) {
  if (choice.groups.size() == 1) {
    return make_augmentation(choice.groups.front().augment).augmentation;
  }
  return std::make_shared<GroupedViews>(choice);
}

}  // namespace bissl::host
