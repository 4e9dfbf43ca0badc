#pragma once

#include "plugins/load_report.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace bissl::host {

/// An object with the members of the struct.
void to_json(nlohmann::json& json, const LoadProblem& problem);
/// Throws nlohmann::json::exception for an object without all members or with others than texts.
void from_json(const nlohmann::json& json, LoadProblem& problem);

/// {"searched": […], "loaded": […], "problems": […]}.
void to_json(nlohmann::json& json, const LoadReport& report);

/// The JSON as text; bytes that are not UTF-8 (of a path, of a library's message) become U+FFFD
/// instead of an exception. `indent` as in nlohmann::json::dump.
std::string dump(const nlohmann::json& json, int indent);

}  // namespace bissl::host
