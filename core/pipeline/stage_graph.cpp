#include "pipeline/stage_graph.h"

#include "base/spelling.h"
#include "pipeline/exclusive_keys.h"
#include "pipeline/matched_stage.h"
#include "pipeline/run_names.h"
#include "pipeline/unset_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <limits>

namespace bissl::host {
namespace {

constexpr const char* scratch = "scratch";
constexpr const char* matched_key = "match.stage";
constexpr size_t longest_name = 100;

std::string quoted(const std::string& text) { return to_toml(Value(shortened(text))); }

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

/// The weights that a stage of one kind needs and one of the other does not hand on.
std::vector<std::string> lacking(const StageKindSpec& child, const StageKindSpec& parent) {
  std::vector<std::string> missing;
  for (const std::string& role : child.takes) {
    const auto has = [&role](const std::vector<std::string>& roles) {
      return std::find(roles.begin(), roles.end(), role) != roles.end();
    };
    if (!has(parent.hands_on) && !has(parent.made_anew)) {
      missing.push_back(role);
    }
  }
  return missing;
}

constexpr size_t no_stage = std::numeric_limits<size_t>::max();
constexpr size_t most_stages = 1000;
/// Some hundred megabytes. A hostile file could otherwise have a huge table copied many times.
constexpr size_t most_copied_nodes = 1000000;

/// `links[i]` is the one stage that stage i depends on, or no_stage. Returns every circle, each
/// beginning with its first stage of the file, and cuts it by taking that stage's link away.
std::vector<std::vector<size_t>> cut_circles(std::vector<size_t>& links) {
  enum : char { unseen, on_path, done };
  std::vector<char> state(links.size(), unseen);
  std::vector<std::vector<size_t>> circles;
  for (size_t start = 0; start < links.size(); ++start) {
    std::vector<size_t> walked;
    size_t current = start;
    while (current != no_stage && state[current] == unseen) {
      state[current] = on_path;
      walked.push_back(current);
      current = links[current];
    }
    if (current != no_stage && state[current] == on_path) {
      std::vector<size_t> circle(std::find(walked.begin(), walked.end(), current), walked.end());
      std::rotate(circle.begin(), std::min_element(circle.begin(), circle.end()), circle.end());
      links[circle.front()] = no_stage;
      circles.push_back(std::move(circle));
    }
    for (const size_t stage : walked) {
      state[stage] = done;
    }
  }
  return circles;
}

/// Whether the links lead from one stage to another, or the two are one.
bool reaches(const std::vector<std::vector<size_t>>& links, size_t from, size_t to) {
  std::vector<size_t> open = {from};
  std::vector<char> seen(links.size(), 0);
  while (!open.empty()) {
    const size_t stage = open.back();
    open.pop_back();
    if (stage == to) {
      return true;
    }
    if (seen[stage] == 0) {
      seen[stage] = 1;
      open.insert(open.end(), links[stage].begin(), links[stage].end());
    }
  }
  return false;
}

void place(const std::vector<std::vector<size_t>>& links, size_t stage, std::vector<char>& placed,
           std::vector<size_t>& order) {
  if (placed[stage] != 0) {
    return;
  }
  placed[stage] = 1;
  for (const size_t other : links[stage]) {
    place(links, other, placed, order);  // as deep as there are stages, most_stages at most
  }
  order.push_back(stage);
}

/// All stages, each behind those that it depends on, otherwise in their order. No circles.
std::vector<size_t> ordered(const std::vector<std::vector<size_t>>& links) {
  std::vector<size_t> order;
  std::vector<char> placed(links.size(), 0);
  for (size_t stage = 0; stage < links.size(); ++stage) {
    place(links, stage, placed, order);
  }
  return order;
}

/// Of stages that each depend on one other, or on no_stage.
std::vector<std::vector<size_t>> as_lists(const std::vector<size_t>& links) {
  std::vector<std::vector<size_t>> lists(links.size());
  for (size_t stage = 0; stage < links.size(); ++stage) {
    if (links[stage] != no_stage) {
      lists[stage].push_back(links[stage]);
    }
  }
  return lists;
}

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
                   [](const std::string& name) { return name != scratch; });
    }
  }
  return names;
}

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= longest_name && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

std::string plain_name_rule() {
  return fmt::format(
      "a string of 1 to {} letters, digits, '.', '_' and '-', not beginning with '.'",
      longest_name);
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
                                what, quoted(entry.key)),
                    quoted_list(names), nearest(entry.key, names));
  return true;
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

const size_t* StageGraph::find_stage(const StageDraft& draft, const ConfigNode& name,
                                     const std::string& key) {
  const std::string* text = name.as_text();
  if (text == nullptr) {
    diagnostics_.error(name.at, path(draft) + "." + key, describe_given(name),
                       "the name of a stage");
    return nullptr;
  }
  const auto found = index_.find(*text);
  if (found != index_.end()) {
    return &found->second;
  }
  std::vector<std::string> accepted;
  if (key != "like" && key != matched_key) {
    accepted = possible_parents(draft.kind);
  } else {
    for (const StageDraft& other : drafts_) {
      if (other.name != draft.name) {
        accepted.push_back(other.name);
      }
    }
  }
  diagnostics_.error(name.at, path(draft) + "." + key,
                     fmt::format("there is no stage {}", quoted(*text)), quoted_list(accepted),
                     nearest(*text, accepted));
  return nullptr;
}

std::vector<std::string> StageGraph::possible_parents(const StageKindSpec* kind) const {
  std::vector<std::string> names;
  for (const StageDraft& draft : drafts_) {
    if (draft.kind != nullptr && !draft.kind->hands_on.empty() &&
        (kind == nullptr || lacking(*kind, *draft.kind).empty())) {
      names.push_back(draft.name);
    }
  }
  if (kind == nullptr || kind->from_scratch) {
    names.emplace_back(scratch);
  }
  return names;
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
  for (const size_t stage : ordered(as_lists(links))) {
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

void StageGraph::report_unset_keys() {
  for (const StageDraft& draft : drafts_) {
    if (!draft.incomplete) {
      report_unset(draft.table.unset, draft.table, path(draft), diagnostics_);
    }
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

void StageGraph::report_circles(const std::vector<std::vector<size_t>>& circles,
                                const std::string& key, const std::string& message) {
  for (const std::vector<size_t>& circle : circles) {
    std::string names;
    for (const size_t stage : circle) {
      names += drafts_[stage].name + " → ";
      drafts_[stage].incomplete = true;
    }
    const StageDraft& first = drafts_[circle.front()];
    diagnostics_.error(first.table.find(key)->value.at, joined_key(path(first), key),
                       fmt::format("{}: {}{}", message, names, first.name));
  }
}

void StageGraph::read_kind(StageDraft& draft) {
  std::vector<std::string> names;
  for (const StageKindSpec& kind : kinds_) {
    names.push_back(kind.name);
  }
  const ConfigEntry* entry = draft.table.find("kind");
  const std::string key = joined_key(path(draft), "kind");
  if (entry == nullptr) {
    if (!draft.incomplete) {
      diagnostics_.missing(draft.table.at, key, "this required key is missing", quoted_list(names));
    }
    return;
  }
  const std::string* name = draft.table.text("kind");
  if (name == nullptr) {
    diagnostics_.error(entry->value.at, key, describe_given(entry->value), quoted_list(names));
    return;
  }
  for (const StageKindSpec& kind : kinds_) {
    if (kind.name == *name) {
      draft.kind = &kind;
      return;
    }
  }
  diagnostics_.error(entry->value.at, key,
                     fmt::format("there is no kind of stage {}", quoted(*name)), quoted_list(names),
                     nearest(*name, names));
}

void StageGraph::read_from(StageDraft& draft) {
  const ConfigEntry* entry = draft.table.find("from");
  if (entry != nullptr) {
    check_parent(draft, entry->value);
  } else if (draft.kind != nullptr && draft.kind->needs_parent && !draft.incomplete) {
    diagnostics_.missing(draft.table.at, joined_key(path(draft), "from"),
                         fmt::format("this required key is missing: a stage of kind \"{}\" "
                                     "continues another",
                                     draft.kind->name),
                         quoted_list(possible_parents(draft.kind)));
  }
}

void StageGraph::check_parent(StageDraft& draft, const ConfigNode& from) {
  const std::string* name = from.as_text();
  if (draft.kind != nullptr && draft.kind->is_root && (name == nullptr || *name != scratch)) {
    diagnostics_.error(from.at, joined_key(path(draft), "from"),
                       fmt::format("a stage of kind \"{}\" continues no other: its weights come "
                                   "from elsewhere",
                                   draft.kind->name),
                       "no such key");
    return;
  }
  if (name != nullptr && *name == scratch) {
    if (draft.kind != nullptr && !draft.kind->from_scratch) {
      diagnostics_.error(
          from.at, joined_key(path(draft), "from"),
          fmt::format("a stage of kind \"{}\" cannot start from random weights", draft.kind->name),
          quoted_list(possible_parents(draft.kind)));
    }
    return;
  }
  const size_t* found = find_stage(draft, from, "from");
  if (found == nullptr) {
    draft.incomplete = true;
    return;
  }
  const StageDraft& parent = drafts_[*found];
  if (parent.name == draft.name) {
    diagnostics_.error(from.at, joined_key(path(draft), "from"), "a stage cannot continue itself",
                       quoted_list(possible_parents(draft.kind)));
    draft.incomplete = true;
    return;
  }
  if (parent.kind != nullptr && parent.kind->hands_on.empty()) {
    diagnostics_.error(from.at, joined_key(path(draft), "from"),
                       fmt::format("stage {} is of kind \"{}\", which no stage can continue",
                                   quoted(parent.name), parent.kind->name),
                       quoted_list(possible_parents(draft.kind)));
  } else if (parent.kind != nullptr && draft.kind != nullptr) {
    const std::vector<std::string> missing = lacking(*draft.kind, *parent.kind);
    if (!missing.empty()) {
      diagnostics_.error(
          from.at, joined_key(path(draft), "from"),
          fmt::format("stage {} is of kind \"{}\", which hands on {}; a stage of kind \"{}\" needs "
                      "{}, too",
                      quoted(parent.name), parent.kind->name,
                      fmt::join(parent.kind->hands_on, " and "), draft.kind->name,
                      fmt::join(missing, " and ")),
          quoted_list(possible_parents(draft.kind)));
    }
  }
  draft.from = parent.name;
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
  return ordered(all);
}

std::vector<size_t> StageGraph::read_named(const StageDraft& draft) {
  std::vector<size_t> stages;
  if (draft.kind == nullptr) {
    return stages;
  }
  for (const ParameterSpec& parameter : draft.kind->table.parameters) {
    const ConfigEntry* entry = draft.table.find(parameter.name);
    if (parameter.traits.count(names_stages) == 0 || entry == nullptr) {
      continue;
    }
    const std::vector<ConfigNode> one = {entry->value};
    for (const ConfigNode& name :
         entry->value.type == ConfigNode::Type::array ? entry->value.items : one) {
      const std::string* text = name.as_text();
      if (text == nullptr || *text == scratch) {
        continue;  // the table's reader reports what is no text
      }
      const size_t* found = find_stage(draft, name, parameter.name);
      if (found == nullptr) {
        continue;
      }
      const StageDraft& other = drafts_[*found];
      if (other.kind != nullptr && !lacking(*draft.kind, *other.kind).empty()) {
        diagnostics_.error(
            name.at, joined_key(path(draft), parameter.name),
            fmt::format("stage {} is of kind \"{}\", which hands on no {}", quoted(other.name),
                        other.kind->name, fmt::join(lacking(*draft.kind, *other.kind), " and ")),
            quoted_list(possible_parents(draft.kind)));
        continue;
      }
      stages.push_back(*found);
    }
  }
  return stages;
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
    } else if (reaches(links, *found, stage)) {
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
