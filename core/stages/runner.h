#pragma once

#include "bissl/error.h"
#include "pipeline/pipeline.h"
#include "stages/context.h"
#include "store/run_origin.h"
#include "store/stage_store.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl {

struct RunOptions {
  std::filesystem::path out = "runs";  ///< holds the run folders, and the store in .store
  RunSettings settings;
  StoreListener listener;
  /// Datasets that are open already.
  std::shared_ptr<DatasetCache> datasets = std::make_shared<DatasetCache>();
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

/// Which folder below `out` a run of the pipeline uses. The pipeline must outlive it.
FolderOrigin origin_of(const Pipeline& pipeline, const std::filesystem::path& out);

/// Runs a pipeline's stages, each after the one that it continues. A stage that the store has under
/// its key is not run again. Writes the run folder: the lock file before the first stage, links to
/// the stages, results.json after each; what an earlier version of the pipeline left there is
/// removed first. Throws Error, also for a folder of another origin (see check_origin), and
/// Interrupted after a checkpoint.
RunOutcome run_pipeline(const Pipeline& pipeline, const RunOptions& options);

/// What the work on one stage needs besides its claim.
struct StageTask {
  const Pipeline& pipeline;
  const Stage& stage;
  DataCatalog& data;
  std::optional<std::filesystem::path> parent;  ///< the finished parent's folder
  const RunSettings& settings;
};

/// Computes a stage and publishes it. Its results tell the seconds that went into it and what it
/// was computed with (computing_environment), the work before an interruption included, and the
/// process's highest memory.
void compute_stage(const StageTask& task, StageWork& work);

/// An exception of a library as an Error(run), with advice where memory was short.
Error as_error(const std::exception& exception);

/// Warnings about metrics in a stage's results that have no finite mean, with the reason.
std::vector<std::string> metrics_not_finite(const nlohmann::json& results);

/// The results of a finished stage in this folder of the store.
nlohmann::json read_stage_results(const std::filesystem::path& folder);

/// What pipeline.lock.toml says of a pipeline, its data opened.
std::string lock_text(const Pipeline& pipeline, DataCatalog& data);

/// results.json of a run; `stages` by name, each with its key.
nlohmann::json run_results(const Pipeline& pipeline, const nlohmann::json& stages);

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

}  // namespace bissl
