#pragma once

#include "report/results.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

/// gather() for runs.
ReportData gather_runs(const std::vector<std::filesystem::path>& folders,
                       const std::string& metric);

}  // namespace bissl::host
