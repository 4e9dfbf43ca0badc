#include "data/planned_views.h"

#include <atomic>

namespace bissl::host {
namespace {

std::atomic<bool> on_devices = true;

}  // namespace

void set_views_on_devices(bool wanted) { on_devices = wanted; }

bool views_on_devices() { return on_devices; }

std::string planning_obstacle(const Augmentation& augmentation, int64_t views,
                              const c10::Device& device) {
  if (device.is_cpu() || !views_on_devices()) {
    return "";
  }
  const auto* planned = dynamic_cast<const PlannedAugmentation*>(&augmentation);
  if (planned == nullptr) {
    return "the augmentation";
  }
  for (int64_t view = 0; view < views; ++view) {
    if (std::string found = planned->obstacle(view); !found.empty()) {
      return found;
    }
  }
  return "";
}

const PlannedAugmentation* planned_augmentation(const Augmentation& augmentation, int64_t views,
                                                const c10::Device& device) {
  return device.is_cpu() || !views_on_devices() ||
                 !planning_obstacle(augmentation, views, device).empty()
             ? nullptr
             : dynamic_cast<const PlannedAugmentation*>(&augmentation);
}

}  // namespace bissl::host
