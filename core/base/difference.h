#pragma once

#include <nlohmann/json.hpp>

#include <map>
#include <string>
#include <vector>

namespace bissl::host {

/// The leaves of a JSON value by their dotted paths, spelled as keys of TOML; empty objects and
/// lists count as leaves, and so do lists of scalars.
std::map<std::string, nlohmann::json> leaves(const nlohmann::json& json);

/// One place at which two JSON values differ; null is what is not there.
struct Difference {
  std::string path;
  nlohmann::json left;
  nlohmann::json right;
};

/// All differences between two values, by path.
std::vector<Difference> differences(const nlohmann::json& left, const nlohmann::json& right);

/// A value for people: as JSON has it, but texts without quotation marks; "–" for null.
std::string short_text(const nlohmann::json& value);

}  // namespace bissl::host
