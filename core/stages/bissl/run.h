#pragma once

#include "stages/context.h"
#include "store/stage_results.h"

namespace bissl::host {

/// StageKind::run of a bissl stage.
StageResults run_bissl(const StageContext& context);

}  // namespace bissl::host
