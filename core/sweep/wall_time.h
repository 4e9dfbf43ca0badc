#pragma once

#include "store/sweep_plan.h"

#include <map>
#include <string>
#include <vector>

namespace bissl::host {

/// Seconds until all of these stages are computed, when each of `jobs` processes takes, as soon as
/// it is free, the stage that can begin first: in the order given where several can. A stage can
/// begin when those among `nodes` that it needs have ended; they come before it. `seconds` has the
/// time of each by its key. Takes n log n steps for n stages.
double wall_time(const std::vector<const PlanNode*>& nodes,
                 const std::map<std::string, double>& seconds, int jobs);

}  // namespace bissl::host
