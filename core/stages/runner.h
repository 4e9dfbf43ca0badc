#pragma once

#include "pipeline/pipeline.h"
#include "stages/context.h"
#include "store/run_origin.h"
#include "store/run_results.h"
#include "store/stage_store.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

struct RunOptions {
  std::filesystem::path out = "runs";  ///< holds the run folders, and the store in .store
  RunSettings settings;
  StoreListener listener;
  /// Datasets that are open already.
  std::shared_ptr<DatasetCache> datasets = std::make_shared<DatasetCache>();
  /// Profiles of the stages that are computed are written into the run's folder
  /// (run_profile_folder): STAGE.txt, the tables, and STAGE.trace.json.
  bool profile = false;
  /// Told what happens, a sentence at a time: a stage begins, or is taken from the store.
  std::function<void(const std::string&)> say;
};

struct StageOutcome {
  std::string name;
  std::string key;
  std::filesystem::path folder;  ///< in the store
  bool reused = false;           ///< it was finished before
  StageResults results;
};

struct RunOutcome {
  std::filesystem::path folder;
  std::vector<StageOutcome> stages;  ///< in the pipeline's order
};

/// Which folder below `out` a run of the pipeline uses. The pipeline must outlive it.
FolderOrigin origin_of(const Pipeline& pipeline, const std::filesystem::path& out);

/// Runs a pipeline's stages, each after the one that it continues. A stage that the store has under
/// its key is not run again. Writes the run folder: the lock file before the first stage, links to
/// the stages, results.json after each; what an earlier version of the pipeline left there is
/// removed first. Where another version of it is begun in that folder meanwhile, this one leaves
/// the folder to it, and says so. Throws Error, also for a folder of another origin (see
/// check_origin), and Interrupted after a checkpoint.
RunOutcome run_pipeline(const Pipeline& pipeline, const RunOptions& options);

}  // namespace bissl::host
