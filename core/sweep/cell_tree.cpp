#include "sweep/cell_tree.h"

#include "base/spelling.h"
#include "pipeline/table_reader.h"
#include "pipeline/toml_parser.h"
#include "pipeline/unset_keys.h"

#include <fmt/format.h>

#include <algorithm>

namespace bissl::host {

CellTree::CellTree(const Ablation& ablation, const PipelineSources& sources,
                   DiagnosticCollector& diagnostics)
    : ablation_(ablation), rules_(merge_rules(sources.data_selection)), diagnostics_(diagnostics) {}

bool CellTree::load(const Changes& changes) {
  std::optional<ConfigNode> base = load_config(ablation_.pipeline, changes, rules_, diagnostics_);
  if (!base) {
    return false;
  }
  base_ = std::move(*base);
  lay(base_, ablation_.set);
  return true;
}

void CellTree::lay(ConfigNode& root, std::vector<KeyValue> settings) {
  if (settings.empty()) {
    return;
  }
  const auto depth = [](const KeyValue& setting) { return parse_toml_key(setting.key).size(); };
  std::stable_sort(settings.begin(), settings.end(),
                   [&](const KeyValue& a, const KeyValue& b) { return depth(a) < depth(b); });
  ConfigNode layer;
  for (const KeyValue& setting : settings) {
    merge_pipeline(layer, tree_of(setting), rules_);
  }
  flatten_layers(layer);
  read_unset(layer, diagnostics_);
  layer.at = root.at;
  merge_pipeline(root, std::move(layer), rules_);
}

void CellTree::check_key(const std::string& key, const Location& at) {
  const std::vector<std::string> parts = parse_toml_key(key);
  if (parts.size() < 2 || (parts[0] != "stage" && parts[0] != "data")) {
    return;
  }
  const ConfigEntry* tables = base_.find(parts[0]);
  std::vector<std::string> names;
  if (tables != nullptr && tables->value.is_table()) {
    for (const ConfigEntry& entry : tables->value.entries) {
      names.push_back(entry.key);
    }
  }
  if (std::find(names.begin(), names.end(), parts[1]) == names.end()) {
    diagnostics_.error(at, key,
                       fmt::format("{} has no {} \"{}\"", ablation_.pipeline.string(),
                                   parts[0] == "stage" ? "stage" : "data source", parts[1]),
                       quoted_list(names), nearest(parts[1], names));
  }
}

void CellTree::check_keys_of(const std::vector<KeyValue>& settings) {
  for (const KeyValue& setting : settings) {
    check_key(setting.key, setting.at);
  }
}

void CellTree::check_keys() {
  for (const Axis& axis : ablation_.axes) {
    check_keys_of(axis.choices.front().settings);
  }
  check_keys_of(ablation_.set);
  for (const auto& rule : ablation_.exclude) {
    check_keys_of(rule);
  }
  if (ablation_.search) {
    for (const DrawnKey& key : ablation_.search->keys) {
      check_key(key.key, key.at);
    }
    check_keys_of(ablation_.search->final);
  }
}

}  // namespace bissl::host
