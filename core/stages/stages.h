#pragma once

#include "bissl/error.h"
#include "stages/context.h"

#include <nlohmann/json.hpp>

namespace bissl {

/// Runs one stage to its end: trains, writes weights and events to the stage's folder, and returns
/// its results, which also stand in the folder's results.json. Goes on from the folder's checkpoint
/// if there is one. Throws Interrupted after writing one when the user asked to stop, and Error.
nlohmann::json run_stage(const StageContext& context);

/// The error with the stage and its place in the file before it.
Error at_stage(const StageContext& context, const Error& error);

// The kinds of stage; each as run_stage.
nlohmann::json run_pretrain(const StageContext& context);
nlohmann::json run_bissl(const StageContext& context);
nlohmann::json run_finetune(const StageContext& context);

}  // namespace bissl
