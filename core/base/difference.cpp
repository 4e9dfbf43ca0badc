#include "base/difference.h"

#include "base/json_text.h"
#include "base/spelling.h"

#include <algorithm>

namespace bissl::host {
namespace {

bool is_leaf(const nlohmann::json& json) {
  const auto is_scalar = [](const nlohmann::json& item) { return !item.is_structured(); };
  return !json.is_structured() || json.empty() ||
         (json.is_array() && std::all_of(json.begin(), json.end(), is_scalar));
}

void gather(const nlohmann::json& json, const std::string& path,
            std::map<std::string, nlohmann::json>& found) {
  if (is_leaf(json)) {
    found[path] = json;
    return;
  }
  const std::string prefix = path.empty() ? "" : path + ".";
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      gather(value, prefix + spelled_key(key), found);
    }
    return;
  }
  for (size_t i = 0; i < json.size(); ++i) {
    gather(json[i], prefix + std::to_string(i), found);
  }
}

}  // namespace

std::map<std::string, nlohmann::json> leaves(const nlohmann::json& json) {
  std::map<std::string, nlohmann::json> found;
  gather(json, "", found);
  return found;
}

std::vector<Difference> differences(const nlohmann::json& left, const nlohmann::json& right) {
  const std::map<std::string, nlohmann::json> left_leaves = leaves(left);
  std::map<std::string, nlohmann::json> right_leaves = leaves(right);
  std::vector<Difference> found;
  for (const auto& [path, value] : left_leaves) {
    const auto other = right_leaves.find(path);
    if (other == right_leaves.end()) {
      found.push_back({path, value, nullptr});
    } else if (other->second != value) {
      found.push_back({path, value, other->second});
    }
    if (other != right_leaves.end()) {
      right_leaves.erase(other);
    }
  }
  for (const auto& [path, value] : right_leaves) {
    found.push_back({path, nullptr, value});
  }
  std::sort(found.begin(), found.end(),
            [](const Difference& a, const Difference& b) { return a.path < b.path; });
  return found;
}

std::string short_text(const nlohmann::json& value) {
  if (value.is_null()) {
    return "–";
  }
  return value.is_string() ? value.get<std::string>() : json_text(value);
}

}  // namespace bissl::host
