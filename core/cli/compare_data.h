#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// A folder of labelled images as `bissl compare` finds it.
struct LabelledFolder {
  std::filesystem::path train;                ///< holds a folder for each class
  std::optional<std::filesystem::path> test;  ///< the same for the score; none: a part of `train`
  std::vector<std::string> classes;           ///< in the order of their names
  int64_t train_images = 0;                   ///< that are trained on
  int64_t test_images = 0;
  /// Images of each class that are kept for the score; 0 with a folder for it.
  int64_t held_out = 0;
};

/// Looks at DATA/train/CLASS/… with DATA/test/CLASS/… (or val), or at DATA/CLASS/… alone. Throws
/// Error(input) for what cannot be compared on: no images, one class, a class with one image of
/// which a part is to be kept, one image of each class, classes that differ between the two
/// folders. Opens no image.
LabelledFolder look_at_labelled(const std::filesystem::path& data);

/// Images in a folder and those below it. Throws Error(input) where there is none.
int64_t count_images(const std::filesystem::path& folder);

}  // namespace bissl::host
