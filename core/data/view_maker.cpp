#include "data/view_maker.h"

#include "data/chain.h"
#include "data/guarded_augmentation.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

std::shared_ptr<const Augmentation> make_augmentation(const AugmentChoice& choice) {
  return choice.is_chain ? make_chain(choice.steps)
                         : create_guarded_augmentation(choice.steps.front());
}

/// Views of several groups.
class GroupedViews : public Augmentation {
 public:
  explicit GroupedViews(const ViewsChoice& choice) {
    for (const ViewGroup& group : choice.groups) {
      makers_.push_back(make_augmentation(group.augment));
      group_of_.insert(group_of_.end(), static_cast<size_t>(group.count), makers_.size() - 1);
    }
  }

  ImageShape view_shape(const ImageShape& input, int64_t view) const override {
    return maker(view).view_shape(input, view);
  }
  bool takes(PixelType type) const override {
    return std::all_of(makers_.begin(), makers_.end(),
                       [&](const auto& maker) { return maker->takes(type); });
  }
  ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                     std::span<float> output) const override {
    return maker(view).apply(image, view, stream, output);
  }

 private:
  const Augmentation& maker(int64_t view) const {
    const auto number = static_cast<size_t>(view);
    return *makers_[number < group_of_.size() ? group_of_[number] : makers_.size() - 1];
  }

  std::vector<std::shared_ptr<const Augmentation>> makers_;
  std::vector<size_t> group_of_;  ///< by the view's number
};

}  // namespace

std::shared_ptr<const Augmentation> make_augmentation(const ViewsChoice& choice) {
  if (choice.groups.size() == 1) {
    return make_augmentation(choice.groups.front().augment);
  }
  return std::make_shared<GroupedViews>(choice);
}

}  // namespace bissl::host
