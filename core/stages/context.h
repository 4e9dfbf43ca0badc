#pragma once

#include "data/catalog.h"
#include "models/module_state.h"
#include "pipeline/pipeline.h"
#include "telemetry/progress.h"

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace bissl::host {

/// How to run, as against what: none of it changes results.
struct RunSettings {
  c10::Device device = c10::kCPU;
  int loader_threads = 1;
  /// For each stage the number of threads that compute is chosen by trial steps, up to this many;
  /// 0: it is left as it is.
  int most_threads = 0;
  double checkpoint_seconds = 60;  ///< between checkpoints; 0: after every step
  /// Makes the display of a stage's progress; unset: none.
  std::function<std::unique_ptr<Progress>(Progress::Plan plan)> progress;
  /// Receives each warning of a stage that continues, once. Unset: warnings are dropped.
  std::function<void(const std::string& text)> warn;
  /// Receives information that is no warning. Unset: it is dropped.
  std::function<void(const std::string& text)> note;
  /// Called before anything is written for a step; throws when the stage is no longer this
  /// process's to compute. Unset: nothing is asked.
  std::function<void()> confirm;
  /// Called after each checkpoint. Unset: nothing is called.
  std::function<void()> checkpointed;
};

/// Everything that a stage is given.
struct StageContext {
  const Pipeline& pipeline;
  const Stage& stage;
  DataCatalog& data;
  std::filesystem::path folder;  ///< where its files go
  /// The folder of the finished parent stage; unset for a start from random weights.
  std::optional<std::filesystem::path> parent;
  /// In a check, where nothing has been computed: what the parent will hand on, if that is known.
  const HandedOn* handed_on = nullptr;
  /// How many ancestors are of the same kind: keeps their random streams apart.
  int64_t generation = 0;
  const RunSettings& settings;
  /// Of a stage with `match`: how much it is to train (match.h). Unset for others.
  std::optional<double> budget = std::nullopt;
  /// The folders of the finished stages that its table names beside its parent (compared_stages);
  /// none in a check.
  std::map<std::string, std::filesystem::path> compared = {};

  /// The seed of a use within the stage. Stages of one kind and generation share it whatever their
  /// names, so that arms of a comparison see the same random numbers.
  uint64_t seed_for(const std::string& use) const;
};

}  // namespace bissl::host
