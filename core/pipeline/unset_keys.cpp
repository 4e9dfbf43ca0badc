#include "pipeline/unset_keys.h"

#include "base/spelling.h"
#include "pipeline/toml_parser.h"

#include <fmt/format.h>

namespace bissl::host {
namespace {

void read_table(ConfigNode& table, const std::string& path, DiagnosticCollector& diagnostics) {
  const ConfigEntry* entry = table.find("unset");
  if (entry == nullptr) {
    return;
  }
  const std::string accepted = path.empty()
                                   ? "an array of keys, such as [\"stage.pretrain.epochs\"]"
                                   : "an array of the stage's keys, such as [\"epochs\"]";
  const std::string key = joined_key(path, "unset");
  if (entry->value.type != ConfigNode::Type::array) {
    diagnostics.error(entry->value.at, key, describe_given(entry->value), accepted);
  }
  for (const ConfigNode& item : entry->value.items) {
    const std::string* text = item.as_text();
    const std::vector<std::string> keys =
        text == nullptr ? std::vector<std::string>{} : parse_toml_key(*text);
    if (keys.empty()) {
      diagnostics.error(item.at, key, describe_given(item), accepted);
    } else {
      table.unset.push_back({keys, item.at});
    }
  }
  table.erase("unset");
}

/// What a path can have behind a node: keys of a table, numbers of an array's tables.
std::vector<std::string> keys_in(const ConfigNode& node) {
  std::vector<std::string> keys;
  for (const ConfigEntry& entry : node.entries) {
    keys.push_back(entry.key);
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    if (node.items[i].is_table()) {
      keys.push_back(fmt::format("{}", i));
    }
  }
  return keys;
}

}  // namespace

void read_unset(ConfigNode& root, DiagnosticCollector& diagnostics) {
  read_table(root, "", diagnostics);
  ConfigEntry* stages = root.find("stage");
  if (stages == nullptr) {
    return;
  }
  for (ConfigEntry& stage : stages->value.entries) {
    read_table(stage.value, joined_key("stage", stage.key), diagnostics);
  }
}

void report_unset(const std::vector<UnsetKey>& unset, const ConfigNode& table,
                  const std::string& path, DiagnosticCollector& diagnostics) {
  for (const UnsetKey& key : unset) {
    if (key.found) {
      continue;
    }
    const ConfigNode* level = &table;
    std::string reached = path;
    std::string whole = path;
    std::vector<std::string> present;
    std::vector<std::string> near;
    for (const std::string& part : key.keys) {
      whole = joined_key(whole, part);
      if (level == nullptr) {
        continue;
      }
      const ConfigEntry* entry = level->find(part);
      const ConfigNode* next = entry != nullptr ? &entry->value : level->item(part);
      if (next == nullptr) {
        for (const std::string& other : keys_in(*level)) {
          present.push_back(joined_key(reached, other));
          // Compared without the path, which would make anything in it near.
          if (!nearest(part, {other}).empty()) {
            near.push_back(present.back());
          }
        }
      } else {
        reached = joined_key(reached, part);
      }
      level = next;
    }
    diagnostics.error(key.at, whole,
                      level == nullptr ? "this key is not there, so it cannot be taken away"
                                       : "nothing below sets this key, so it cannot be taken away",
                      level == nullptr ? quoted_list(present) : "", near);
  }
}

}  // namespace bissl::host
