#pragma once

#include "report/results.h"
#include "store/run_results.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

/// What a report calls a folder: its own name, however it was given ("runs/a/", ".", "b/.."); never
/// empty.
std::string folder_title(const std::filesystem::path& folder);

/// Adds the stages of these names, in their order; results.json has them in that of the alphabet.
void add_timings(ReportData& data, const RunResults& results, const std::vector<std::string>& names,
                 const std::filesystem::path& folder, const std::vector<size_t>& choices,
                 const std::string& repetition);

}  // namespace bissl::host
