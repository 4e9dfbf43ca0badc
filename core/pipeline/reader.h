#pragma once

#include "pipeline/component_source.h"
#include "pipeline/config_tree.h"
#include "pipeline/diagnostics.h"
#include "pipeline/pipeline.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

struct ReadRequest {
  std::filesystem::path file;
  std::vector<std::string> overrides;  ///< "stage.pretrain.batch=64", as given to --set
  ComponentSource& components;
  const std::vector<StageKindSpec>& stage_kinds;
  /// The host's own keys of `[data.NAME]`, beside those of the dataset component.
  const TableSpec& data_selection;
  /// What the file says, where that is known already: then nothing is read from `file`, which
  /// serves for messages, and there must be no overrides and nothing to unset.
  std::optional<ConfigNode> root = std::nullopt;
  /// Whether to warn of data sources that no stage uses.
  bool warn_of_unused_data = true;
  std::vector<std::string> unset = {};  ///< "stage.pretrain.epochs", as given to --unset
};

struct ReadResult {
  std::optional<Pipeline> pipeline;     ///< present if no diagnostic is an error
  std::vector<Diagnostic> diagnostics;  ///< all of them, in the order of their positions
};

/// Reads a pipeline file, with everything that it includes, in two passes: the plugin folders that
/// it names are loaded first, then everything is checked against what the components declare. All
/// faults are reported together; no data is opened. Wrong input never throws.
///
/// Top-level keys: name, seed, include, plugins.path, data.NAME, model.backbone, stage.NAME; and
/// `lock`, a table which to_lock_toml writes and which is not looked into.
/// Paths (plugins.path, parameters that are declared as paths) are relative to the file that names
/// them, those of an override to the working directory.
ReadResult read_pipeline(const ReadRequest& request);

}  // namespace bissl::host
