#pragma once

#include "stages/stage_kind.h"
#include "stages/trial.h"

namespace bissl::host {

/// The kind of stage "bissl": bilevel training.
const StageKind& bissl_kind();

std::unique_ptr<StageTrial> make_bissl_trial(const StageContext& context, StagePlan& plan,
                                             bool measure);

}  // namespace bissl::host
