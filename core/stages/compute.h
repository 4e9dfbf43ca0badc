#pragma once

#include "bissl/error.h"
#include "stages/context.h"
#include "store/stage_results.h"
#include "store/stage_store.h"

#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// What the work on one stage needs besides its claim.
struct StageTask {
  const Pipeline& pipeline;
  const Stage& stage;
  DataCatalog& data;
  std::optional<std::filesystem::path> parent;  ///< the finished parent's folder
  std::string key;                              ///< the stage's
  StageStore& store;                            ///< where its audit goes
  const RunSettings& settings;
  /// The finished folder of the stage that this one is as long as, where it has a `match`.
  std::optional<std::filesystem::path> matched = std::nullopt;
};

/// What a stage is given that begins in a folder: without a parent, a budget or stages to compare.
StageContext new_context(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                         std::filesystem::path folder, const RunSettings& settings);

/// Computes a stage and publishes it. Its results have the seconds that went into it and what it
/// was computed with (computing_environment), the work before an interruption included, and the
/// process's highest memory. An audit's figures are published under a key of their own, see
/// audit_artefact.h.
void compute_stage(const StageTask& task, StageWork& work);

/// Computes a finished stage (in the folder `finished`) again for its audit alone, which is what
/// `work` publishes. Warns if the weights come out different.
void compute_audit(const StageTask& task, const std::filesystem::path& finished, StageWork& work);

/// Runs the stage's kind. Throws Interrupted as it is, and every other failure with the stage and
/// its place in the file before it.
StageResults run_stage(const StageContext& context);

/// The error with the stage and its place in the file before it. Where memory was not enough, the
/// stage's sizes that can be lowered come after it.
Error at_stage(const StageContext& context, const Error& error);

/// An exception of a library as an Error(run), with advice where memory was short.
Error as_error(const std::exception& exception);

/// Warnings about metrics in a stage's results that have no finite mean, with the reason.
std::vector<std::string> metrics_not_finite(const StageResults& results);

}  // namespace bissl::host
