#pragma once

#include "pipeline/table.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

/// `[data.NAME]`: a dataset component and the host's choice among its samples (SelectionOptions).
struct DataSource {
  std::string name;
  ComponentChoice dataset;
  Table selection;
};

/// `[stage.NAME]`.
struct Stage {
  std::string name;
  std::string kind;  ///< a name among stage_kinds()
  std::string from;  ///< the parent stage's name; empty when the stage starts from random weights
  Table table;       ///< without kind, from and like
  /// Warnings about values of the table that were settled by other stages (settle_lengths), for a
  /// check. Not part of what the stage is.
  std::vector<std::string> doubts{};
};

/// A pipeline that was read and checked; nothing of its data has been opened.
struct Pipeline {
  std::string name;
  uint64_t seed = 0;
  std::filesystem::path file;
  /// The folders of plugins.path, absolute. Their libraries are loaded.
  std::vector<std::filesystem::path> plugin_folders;
  std::vector<DataSource> data;
  ComponentChoice backbone;
  std::vector<Stage> stages;  ///< parents before children, otherwise in the order of the file

  /// By name. A name that the pipeline does not have is a fault of the caller: Error of kind run.
  const DataSource& data_source(const std::string& name) const;
  const Stage& stage(const std::string& name) const;

  /// The libraries of all components that are used, each once.
  std::vector<LibraryIdentity> libraries() const;
};

/// The kinds of stage, and what each's table may hold. The pipeline reader knows kinds only by
/// this description, which the stages' own code hands to it.
struct StageKindSpec {
  std::string name;
  std::string summary;
  TableSpec table;
  bool needs_parent = false;  ///< `from` must be given
  bool from_scratch = true;   ///< `from` may be "scratch": it can do with random weights
  /// Weights that it leaves for stages that continue it, by their role: "backbone", "pretext",
  /// "head". Without any, no stage can.
  std::vector<std::string> hands_on;
  /// Those that a stage which it continues must hand on.
  std::vector<std::string> takes;
  bool is_root = false;  ///< it continues no stage: its weights come from elsewhere
  /// Weights that it does not hand on and that stages which continue it start at random instead.
  std::vector<std::string> made_anew;
};

}  // namespace bissl::host
