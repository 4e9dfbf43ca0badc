#pragma once

#include "report/results.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

/// gather() for one sweep.
ReportData gather_sweep(const std::filesystem::path& folder, const std::string& metric);

}  // namespace bissl::host
