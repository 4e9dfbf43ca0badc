#pragma once

#include "cli/compare_files.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace bissl::host {

/// The files of one comparison.
struct CompareFiles {
  std::filesystem::path pipeline;
  std::filesystem::path ablation;
};

/// What a call of `bissl compare` was given beside what its settings say.
struct CompareGiven {
  std::optional<int64_t> seeds;  ///< none: as many as usual
  std::optional<int64_t> size;   ///< of views, in pixels; none: chosen
};

/// Throws Error(input) where the files of a comparison that was begun are of other images, weights
/// or options than this call's, with both values. What the files do not say is not compared.
void refuse_other_comparison(const CompareFiles& files, const CompareSettings& settings,
                             const CompareGiven& given);

/// The text with a last line by which is_as_written() knows it.
std::string marked_as_written(const std::string& text);

/// Whether the text is one of marked_as_written(), without a change.
bool is_as_written(const std::string& text);

/// Throws Error(input) where one of the files is there and is not as `bissl compare` wrote it:
/// somebody's own, or changed since.
void refuse_to_overwrite(const CompareFiles& files);

}  // namespace bissl::host
