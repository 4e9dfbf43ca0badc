#pragma once

#include "bissl/export.h"
#include "bissl/image.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bissl {

/// What the targets of a dataset are, and what a downstream task takes.
enum class TargetKind {
  none,         ///< there are none: the data is unlabelled
  category,     ///< one of K categories (classes)
  multi_label,  ///< for each of K labels whether the sample has it
  values,       ///< K numbers
  mask,         ///< one of K categories for each pixel
};

/// The kind as people read it: "none", "category", "multi-label", "values", "mask".
BISSL_API std::string to_string(TargetKind kind);

/// What the targets of all samples of a dataset have in common.
struct TargetSpec {
  TargetKind kind = TargetKind::none;  ///< of all of them
  /// K: the number of categories, labels or values; 0 where there are no targets.
  int64_t width = 0;
  /// What the K of them are called, in their order: `width` names, none empty, no two alike. Only
  /// values may go without, for all of them.
  std::vector<std::string> names{};

  /// As many of a kind as there are names.
  static TargetSpec named(TargetKind kind, std::vector<std::string> names) {
    const auto width = static_cast<int64_t>(names.size());
    return {kind, width, std::move(names)};
  }

  /// Equal in all three.
  friend bool operator==(const TargetSpec&, const TargetSpec&) = default;
};

/// The target of one sample; the kind in TargetSpec says which member is set.
struct Target {
  /// category: a place in the names, 0 … K − 1; −1 otherwise.
  int64_t category = -1;
  /// multi_label: K entries, 1 for a label that the sample has and 0 for one that it has not;
  /// values: K finite numbers. In both a NaN is an entry that does not count: a difficult object of
  /// VOC, a measurement that is missing. Neither loss nor metrics see it.
  std::vector<float> values{};
  /// mask: one channel of 8 bits, of the image's height and width, a category for each pixel; 255
  /// where a pixel does not count.
  Image mask{};
};

/// The category of mask pixels that do not count.
inline constexpr uint8_t not_counted_pixel = 255;

}  // namespace bissl
