#pragma once

#include "bissl/component.h"

#include <string_view>

namespace bissl {

// What a transform may have besides its work, found by its identifier (bissl/component.h).

/// What a transform of float planes says of their values. Without it, a transform takes planes with
/// any values; those in 0 … 1 stay there.
class PlaneValues {
 public:
  static constexpr std::string_view id =
      "bissl.transform.plane-values/1";  ///< of this ability and revision

  /// Whether it counts on values in 0 … 1: it clamps to them, or compares with a threshold between.
  /// A chain in which it follows a transform that leaves that range is refused.
  virtual bool takes_unit_values() const = 0;

  /// Whether it makes values beyond 0 … 1 of values in 0 … 1, as a normalization does.
  virtual bool leaves_unit_values() const = 0;

 protected:
  ~PlaneValues() = default;
};

}  // namespace bissl
