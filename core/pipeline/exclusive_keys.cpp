#include "pipeline/exclusive_keys.h"

#include <algorithm>
#include <string>

namespace bissl::host {
namespace {

/// The kind of a stage, as its table or those that it is like say; empty if none does.
std::string kind_of(const ConfigNode& stages, const ConfigNode& stage) {
  const ConfigNode* table = &stage;
  for (size_t steps = 0; steps <= stages.entries.size(); ++steps) {
    if (const std::string* kind = table->text("kind")) {
      return *kind;
    }
    const std::string* like = table->text("like");
    const ConfigEntry* next = like == nullptr ? nullptr : stages.find(*like);
    if (next == nullptr) {
      return "";
    }
    table = &next->value;
  }
  return "";  // a circle, which the reader reports
}

}  // namespace

void drop_overruled(ConfigNode& table, const TableSpec& spec) {
  for (const std::vector<std::string>& group : spec.exclusive) {
    int highest = 0;
    for (const std::string& key : group) {
      const ConfigEntry* entry = table.find(key);
      highest = entry == nullptr ? highest : std::max(highest, entry->layer);
    }
    std::erase_if(table.entries, [&](const ConfigEntry& entry) {
      return entry.layer < highest &&
             std::find(group.begin(), group.end(), entry.key) != group.end();
    });
  }
  for (const SubtableSpec& subtable : spec.tables) {
    if (ConfigEntry* entry = table.find(subtable.name)) {
      drop_overruled(entry->value, subtable.table);
    }
  }
}

void drop_overruled(ConfigNode& root, const std::vector<StageKindSpec>& kinds) {
  ConfigEntry* stages = root.find("stage");
  if (stages == nullptr) {
    return;
  }
  for (ConfigEntry& stage : stages->value.entries) {
    const std::string name = kind_of(stages->value, stage.value);
    for (const StageKindSpec& kind : kinds) {
      if (kind.name == name) {
        drop_overruled(stage.value, kind.table);
      }
    }
  }
}

}  // namespace bissl::host
