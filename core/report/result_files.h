#pragma once

#include "report/results.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bissl {

/// The object that a file holds. Throws Error(input) for anything else.
nlohmann::json read_json_object(const std::filesystem::path& file);

/// The number at a path of keys, if it is there and finite.
std::optional<double> number_at(const nlohmann::json& from, const std::vector<std::string>& keys);

/// What a report calls a folder: its own name, however it was given ("runs/a/", ".", "b/.."); never
/// empty.
std::string folder_title(const std::filesystem::path& folder);

/// Adds the stages of these names, in their order; results.json has them in that of the alphabet.
void add_timings(ReportData& data, const nlohmann::json& stages,
                 const std::vector<std::string>& names, const std::filesystem::path& folder,
                 const std::vector<size_t>& choices, const std::string& replicate);

/// gather() for one sweep.
ReportData gather_sweep(const std::filesystem::path& folder, const std::string& metric);

/// gather() for runs.
ReportData gather_runs(const std::vector<std::filesystem::path>& folders,
                       const std::string& metric);

}  // namespace bissl
