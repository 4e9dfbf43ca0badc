#pragma once

#include "stages/stage_kind.h"
#include "stages/trial.h"

namespace bissl::host {

/// The kind of stage "finetune": trains backbone and a new head on labelled images.
const StageKind& finetune_kind();

std::unique_ptr<StageTrial> make_finetune_trial(const StageContext& context, StagePlan& plan,
                                                bool measure);

}  // namespace bissl::host
