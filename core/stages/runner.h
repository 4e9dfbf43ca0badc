#pragma once

#include "pipeline/pipeline.h"
#include "stages/context.h"
#include "store/stage_store.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace bissl {

struct RunOptions {
  std::filesystem::path out = "runs";  ///< holds the run folders, and the store in .store
  RunSettings settings;
  StoreListener listener;
  /// Told what happens, a sentence at a time: a stage begins, or is taken from the store.
  std::function<void(const std::string&)> say;
};

struct StageOutcome {
  std::string name;
  std::string key;
  std::filesystem::path folder;  ///< in the store
  bool reused = false;           ///< it was finished before
  nlohmann::json results;        ///< as in the folder's results.json
};

struct RunOutcome {
  std::filesystem::path folder;
  std::vector<StageOutcome> stages;  ///< in the pipeline's order
};

/// Runs a pipeline's stages, each after the one that it continues. A stage that the store has under
/// its key is not run again. Writes the run folder: the lock file before the first stage, links to
/// the stages, results.json after each. Throws Error, and Interrupted after a checkpoint.
RunOutcome run_pipeline(const Pipeline& pipeline, const RunOptions& options);

/// Key and description of a stage; `parent_key` is empty for one without parent. Opens the data.
struct StageIdentity {
  std::string description;
  std::string key;
};
StageIdentity identify(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                       const std::string& parent_key);

/// The data sources that a stage's table names, in the order of StageKindSpec::data_keys.
std::vector<std::string> data_names(const Stage& stage);

/// How many ancestors of a stage are of its kind.
int64_t generation_of(const Pipeline& pipeline, const Stage& stage);

/// The folder of the store below `out`.
std::filesystem::path store_folder(const std::filesystem::path& out);

}  // namespace bissl
