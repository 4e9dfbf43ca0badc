#pragma once

#include "stages/stage_kind.h"

namespace bissl::host {

/// The kind of stage "evaluate": scores networks that another stage has trained, on any number of
/// data sources. It trains nothing, so to score on other data costs no training.
const StageKind& evaluate_kind();

}  // namespace bissl::host
