#pragma once

#include "bissl/augmentation.h"
#include "bissl/planned_view.h"

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

namespace bissl::host {

/// An augmentation as the host holds it whose views may be planned (bissl/planned_view.h), so that
/// a device makes those of a whole batch at once.
class PlannedAugmentation {
 public:
  /// What keeps view number `view` from being planned: a component, as in errors. Empty where
  /// nothing does.
  virtual std::string obstacle(int64_t view) const = 0;

  /// Plans what Augmentation::apply(), or apply_head() of one with a tail, makes of the image with
  /// the same stream, and returns what that returns. `planned` is fresh and of the image's shape.
  /// Refuses what apply() refuses. For views without an obstacle.
  virtual ViewGeometry plan(const Image& image, int64_t view, RandomStream& stream,
                            PlannedView& planned) const = 0;

 protected:
  ~PlannedAugmentation() = default;
};

/// Whether devices make views where they can, in the whole process; they do unless it is switched
/// off. For the start of the program.
void set_views_on_devices(bool wanted);
bool views_on_devices();

/// `augmentation` as one whose first `views` views a device makes from plans; null where one of
/// them has an obstacle, where the processor makes them on that device, and for the processor.
const PlannedAugmentation* planned_augmentation(const Augmentation& augmentation, int64_t views,
                                                const c10::Device& device);

/// Why the processor makes these views for a device that is to make them: a component, as in
/// errors. Empty where the device does, for the processor, and where it was switched off.
std::string planning_obstacle(const Augmentation& augmentation, int64_t views,
                              const c10::Device& device);

}  // namespace bissl::host
