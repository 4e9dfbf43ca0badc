#pragma once

#include "stages/check.h"

namespace bissl {

/// check_pipeline's part for a stage of kind bissl: passes two samples through both levels, makes
/// one Hessian product where the approximator needs it, and fills in the plan. With `measure`,
/// times full batches. Throws Error; the plan then tells whether a second derivative is missing.
void check_bissl(const StageContext& context, bool measure, StagePlan& plan);

}  // namespace bissl
