#include "pipeline/stage_graph.h"

#include "base/spelling.h"
#include "pipeline/exclusive_keys.h"
#include "pipeline/matched_stage.h"
#include "pipeline/plain_names.h"
#include "pipeline/run_names.h"
#include "pipeline/stage_links.h"
#include "pipeline/unset_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace bissl::host {
namespace {

/// Entries of `source` that a subtable inherits, laid under those of `table`, without what `unset`
/// takes away from it.
void fill_from(ConfigNode& table, const ConfigNode& source, const SubtableSpec& inheriting,
               std::vector<UnsetKey>& unset) {
  const TableSpec& spec = inheriting.table;
  ConfigNode merged;
  merged.at = table.at;
  const auto take = [&](const std::string& key) {
    if (const ConfigEntry* entry = source.find(key)) {
      merged.set(*entry);
    }
  };
  for (const ParameterSpec& parameter : spec.parameters) {
    if (parameter.traits.count(own_meaning) == 0) {
      take(parameter.name);
    }
  }
  for (const ComponentSlot& slot : spec.components) {
    take(slot.name);
  }
  if (spec.augment) {
    take("augment");
    take("views");
  }
  for (const SubtableSpec& subtable : spec.tables) {
    take(subtable.name);
  }
  take_away(merged, unset, inheriting.name);
  merge(merged, std::move(table));
  table = std::move(merged);
}

constexpr size_t most_stages = 1000;
/// Some hundred megabytes. A hostile file could otherwise have a huge table copied many times.
constexpr size_t most_copied_nodes = 1000000;

bool has_table(const TableSpec& spec, const std::string& name) {
  return std::any_of(spec.tables.begin(), spec.tables.end(),
                     [&](const SubtableSpec& subtable) { return subtable.name == name; });
}

}  // namespace

std::vector<std::string> named_stages(const TableSpec& spec, const ParameterValues& values) {
  std::vector<std::string> names;
  for (const ParameterSpec& parameter : spec.parameters) {
    const auto value = values.find(parameter.name);
    if (parameter.traits.count(names_stages) == 0 || value == values.end()) {
      continue;
    }
    if (const auto* list = std::get_if<std::vector<std::string>>(&value->second)) {
      std::copy_if(list->begin(), list->end(), std::back_inserter(names),
                   [](const std::string& name) { return name != StageGraph::scratch; });
    }
  }
  return names;
}

std::vector<StageDraft> StageGraph::resolve(const ConfigNode& stages) {
  collect(stages);
  resolve_like();
  for (StageDraft& draft : drafts_) {
    read_kind(draft);
  }
  for (StageDraft& draft : drafts_) {
    read_from(draft);
  }
  const std::vector<size_t> order = in_order();
  for (const size_t stage : order) {
    inherit(drafts_[stage]);
  }
  report_unset_keys();
  for (StageDraft& draft : drafts_) {
    if (draft.kind != nullptr) {
      drop_overruled(draft.table, draft.kind->table);
    }
  }
  std::vector<StageDraft> result;
  result.reserve(drafts_.size());
  for (const size_t stage : order) {
    result.push_back(std::move(drafts_[stage]));
  }
  return result;
}

void StageGraph::collect(const ConfigNode& stages) {
  if (stages.entries.size() > most_stages) {
    diagnostics_.error(stages.at, "stage",
                       fmt::format("there are {} stages", stages.entries.size()),
                       fmt::format("at most {}", most_stages));
    return;
  }
  std::map<std::string, std::string> lower_names;
  for (const ConfigEntry& entry : stages.entries) {
    const std::string key = joined_key("stage", entry.key);
    if (entry.value.find("like") == nullptr &&
        refuse_stray_override(stages, entry, "stage", "kind", "stage", diagnostics_)) {
      continue;
    }
    if (!is_plain_name(entry.key)) {
      diagnostics_.error(entry.key_at, key, "this cannot name a stage", plain_name_rule());
    } else if (entry.key == scratch) {
      diagnostics_.error(entry.key_at, key,
                         "no stage can have this name: from = \"scratch\" means random weights");
    } else if (is_run_file(entry.key)) {
      diagnostics_.error(entry.key_at, key,
                         "no stage can have this name: it is that of a file in the run's folder, "
                         "where the stage's link would lie");
    }
    const auto [same, is_new] = lower_names.try_emplace(lower_case(entry.key), entry.key);
    if (!is_new) {
      const std::string& other = same->second;
      diagnostics_.error(
          entry.key_at, key,
          fmt::format("stage {} differs only in upper and lower case: where file names ignore it, "
                      "the links to both would be one",
                      quoted(other)));
    }
    if (!entry.value.is_table()) {
      diagnostics_.error(entry.value.at, key, describe_given(entry.value),
                         "a table with the stage's settings");
      continue;
    }
    index_[entry.key] = drafts_.size();
    StageDraft draft;
    draft.name = entry.key;
    draft.at = entry.key_at;
    draft.table = entry.value;
    drafts_.push_back(std::move(draft));
  }
}

void StageGraph::resolve_like() {
  std::vector<size_t> links(drafts_.size(), no_stage);
  for (size_t stage = 0; stage < drafts_.size(); ++stage) {
    if (const ConfigEntry* like = drafts_[stage].table.find("like")) {
      const size_t* found = find_stage(drafts_[stage], like->value, "like");
      links[stage] = found == nullptr ? no_stage : *found;
      drafts_[stage].incomplete = found == nullptr;
    }
  }
  report_circles(cut_circles(links), "like", "stages are like each other in a circle");
  for (const size_t stage : in_dependency_order(lists_of_links(links))) {
    StageDraft& draft = drafts_[stage];
    if (links[stage] != no_stage && afford_copy(drafts_[links[stage]].table, draft)) {
      const StageDraft& base = drafts_[links[stage]];
      draft.incomplete = draft.incomplete || base.incomplete;
      ConfigNode merged = base.table;
      for (UnsetKey& key : merged.unset) {
        key.found = true;  // that stage itself reports it
      }
      merge(merged, std::move(draft.table));
      draft.table = std::move(merged);
    }
    draft.table.erase("like");
  }
}

bool StageGraph::afford_copy(const ConfigNode& table, StageDraft& draft) {
  copied_nodes_ += node_count(table);
  if (copied_nodes_ <= most_copied_nodes) {
    return true;
  }
  draft.incomplete = true;
  diagnostics_.error(draft.at, path(draft),
                     fmt::format("what stages take over from others makes more than {} values",
                                 most_copied_nodes));
  return false;
}

std::vector<size_t> StageGraph::in_order() {
  std::vector<size_t> links(drafts_.size(), no_stage);
  for (size_t stage = 0; stage < drafts_.size(); ++stage) {
    if (!drafts_[stage].from.empty()) {
      links[stage] = index_.at(drafts_[stage].from);
    }
  }
  const std::vector<std::vector<size_t>> circles = cut_circles(links);
  report_circles(circles, "from", "stages continue each other in a circle");
  for (const std::vector<size_t>& circle : circles) {
    drafts_[circle.front()].from.clear();
  }
  std::vector<std::vector<size_t>> all;
  for (size_t stage = 0; stage < links.size(); ++stage) {
    all.push_back(read_named(drafts_[stage]));
    if (links[stage] != no_stage) {
      all.back().push_back(links[stage]);
    }
  }
  link_matched(all);
  return in_dependency_order(all);
}

void StageGraph::link_matched(std::vector<std::vector<size_t>>& links) {
  for (size_t stage = 0; stage < drafts_.size(); ++stage) {
    StageDraft& draft = drafts_[stage];
    const ConfigEntry* match = draft.table.find(match_key);
    const ConfigEntry* entry = match == nullptr ? nullptr : match->value.find("stage");
    if (draft.kind == nullptr || !has_table(draft.kind->table, match_key) || entry == nullptr) {
      continue;  // what is missing is reported with the table
    }
    const size_t* found = find_stage(draft, entry->value, matched_key);
    if (found == nullptr) {
      draft.incomplete = true;
    } else if (links_reach(links, *found, stage)) {
      diagnostics_.error(entry->value.at, path(draft) + "." + matched_key,
                         fmt::format("stage {} comes after this one, or is it: a stage can be as "
                                     "long as one before it",
                                     to_toml(Value(drafts_[*found].name))));
      draft.incomplete = true;
    } else {
      links[stage].push_back(*found);
    }
  }
}

void StageGraph::inherit(StageDraft& draft) {
  if (draft.kind == nullptr) {
    return;
  }
  for (const SubtableSpec& spec : draft.kind->table.tables) {
    if (!spec.inherits_from.empty()) {
      inherit(draft, spec);
    }
  }
}

void StageGraph::inherit(StageDraft& draft, const SubtableSpec& spec) {
  const StageDraft* ancestor = draft.from.empty() ? nullptr : &drafts_[index_.at(draft.from)];
  while (ancestor != nullptr) {
    draft.incomplete = draft.incomplete || ancestor->incomplete || ancestor->kind == nullptr;
    if (ancestor->kind != nullptr && ancestor->kind->name == spec.inherits_from) {
      break;
    }
    ancestor = ancestor->from.empty() ? nullptr : &drafts_[index_.at(ancestor->from)];
  }
  if (ancestor == nullptr) {
    return;
  }
  ConfigEntry* entry = draft.table.find(spec.name);
  if (entry == nullptr && spec.required) {
    ConfigNode empty;
    empty.at = draft.table.at;
    entry = &draft.table.set({spec.name, draft.at, std::move(empty)});
  }
  if (entry != nullptr && entry->value.is_table() && afford_copy(ancestor->table, draft)) {
    fill_from(entry->value, ancestor->table, spec, draft.table.unset);
  }
}

}  // namespace bissl::host
