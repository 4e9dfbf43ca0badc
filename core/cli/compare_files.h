#pragma once

#include "cli/compare_data.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace bissl::host {

/// What `bissl compare` has chosen, or was given.
struct CompareSettings {
  std::string name;
  LabelledFolder labelled;
  std::optional<std::filesystem::path> unlabeled;  ///< none: the labelled images, without labels
  int64_t unlabeled_images = 0;
  std::optional<std::filesystem::path> weights;
  std::string backbone = "resnet18";  ///< whose weights they are
  int64_t width = 16;                 ///< of the backbone's first layers, without weights
  int64_t size = 32;                  ///< of views, in pixels
  int64_t seeds = 6;

  int64_t pretext_steps = 1200;
  int64_t rounds = 16;
  int64_t finetune_steps = 150;

  /// The same with numbers of steps that take about `factor` times as long.
  CompareSettings scaled(double factor) const;
};

/// The least numbers of steps that say anything about the arms.
inline constexpr int64_t least_pretext_steps = 60;

/// The pipeline with all arms, as TOML.
std::string compare_pipeline(const CompareSettings& settings);

/// The ablation over it with the seeds; `pipeline` is the name of its file.
std::string compare_ablation(const CompareSettings& settings, const std::string& pipeline);

}  // namespace bissl::host
