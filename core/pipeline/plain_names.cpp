#include "pipeline/plain_names.h"

#include "base/spelling.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace bissl::host {
namespace {

constexpr size_t longest_plain_name = 100;

}  // namespace

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= longest_plain_name && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

std::string plain_name_rule() {
  return fmt::format(
      "a string of 1 to {} letters, digits, '.', '_' and '-', not beginning with '.'",
      longest_plain_name);
}

bool refuse_stray_override(const ConfigNode& tables, const ConfigEntry& entry,
                           const std::string& path, const std::string& required,
                           const std::string& what, DiagnosticCollector& diagnostics) {
  if (entry.key_at.line != 0 || !entry.value.is_table() || entry.value.find(required) != nullptr) {
    return false;
  }
  std::vector<std::string> names;
  for (const ConfigEntry& other : tables.entries) {
    if (other.key_at.line != 0) {
      names.push_back(other.key);
    }
  }
  diagnostics.error(entry.key_at, joined_key(path, entry.key),
                    fmt::format("there is no {} {}; a name with dots is put in quotation marks",
                                what, to_toml(Value(shortened(entry.key)))),
                    quoted_list(names), nearest(entry.key, names));
  return true;
}

}  // namespace bissl::host
