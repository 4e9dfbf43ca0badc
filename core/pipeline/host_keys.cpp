// The host's own keys beside those of a component, in one table: `[data.NAME]`.

#include "pipeline/table_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace bissl::host {

MergeRules merge_rules(const TableSpec& data_selection) {
  MergeRules rules{keys_of(data_selection)};
  rules.data_keys.emplace_back(host_subtable);
  return rules;
}

Table TableReader::read_host_keys(const ConfigNode& node, const ComponentChoice& component,
                                  const TableSpec& spec, const std::string& path) {
  const std::vector<std::string> keys = keys_of(spec);
  ConfigNode own;
  own.at = node.at;
  for (const ConfigEntry& entry : node.entries) {
    const bool is_parameter = component.component && component.values.count(entry.key) != 0;
    if (!is_parameter && std::find(keys.begin(), keys.end(), entry.key) != keys.end()) {
      own.entries.push_back(entry);
    }
  }
  const std::string host_path = joined_key(path, host_subtable);
  if (const ConfigEntry* host = node.find(host_subtable);
      host != nullptr && is_table(*host, host_path, "a table with " + quoted_list(keys))) {
    refuse_unknown(host->value, host_path, keys, spec.renamed);
    for (const ConfigEntry& entry : host->value.entries) {
      const std::string key = joined_key(host_path, entry.key);
      if (const ConfigEntry* twice = own.find(entry.key)) {
        diagnostics_.error(entry.key_at, key,
                           fmt::format("given twice, also at {}", twice->key_at.text()));
        continue;
      }
      keys_in_file_[joined_key(path, entry.key)] = key;
      own.entries.push_back(entry);
    }
  }
  Table table = read_entries(own, spec, path);
  keys_in_file_.clear();
  return table;
}

std::string TableReader::key_in_file(const std::string& key) const {
  const auto moved = keys_in_file_.find(key);
  return moved == keys_in_file_.end() ? key : moved->second;
}

}  // namespace bissl::host
