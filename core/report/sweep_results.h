#pragma once

#include "report/results.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

/// gather() for sweeps. Several are parts of one ablation that were run by themselves, on several
/// machines say; a cell with results in one of the folders has them. Throws Error(input) where
/// plans or pipelines differ in more than plan_difference and pipeline_difference allow, and for a
/// cell whose results in two of the folders have other metrics.
ReportData gather_sweeps(const std::vector<std::filesystem::path>& folders,
                         const std::string& metric);

}  // namespace bissl::host
