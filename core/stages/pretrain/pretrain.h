#pragma once

#include "stages/stage_kind.h"
#include "stages/trial.h"

namespace bissl::host {

/// The kind of stage "pretrain": trains backbone and pretext head on the pretext loss.
const StageKind& pretrain_kind();

std::unique_ptr<StageTrial> make_pretrain_trial(const StageContext& context, StagePlan& plan,
                                                bool measure);

}  // namespace bissl::host
