#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace bissl::host {

/// The member that says why numbers beside it are null: {"loss": null, "not_finite": {"loss":
/// "inf"}}.
inline constexpr const char* not_finite_key = "not_finite";

/// "nan", "inf" or "-inf".
const char* name_of_non_finite(double value);

/// The same with null for each number that is not finite, which JSON lacks. The object that holds
/// it names it in `not_finite`; one in a list within that object as "list/2".
nlohmann::json finite_json(nlohmann::json json);

/// The opposite: puts the numbers back that finite_json took out.
nlohmann::json with_non_finite(nlohmann::json json);

/// JSON as a text, for files and outputs: numbers as finite_json makes them, bytes that are not
/// UTF-8 (of paths, names, messages of plugins) replaced by U+FFFD. `indent` as of dump().
std::string json_text(const nlohmann::json& json, int indent = -1);

/// A number for tables: `format` of it, or "not finite" for null.
std::string number_or_not_finite(const nlohmann::json& number, int digits);

/// Whether the bytes are valid UTF-8.
bool is_utf8(const std::string& text);

}  // namespace bissl::host
