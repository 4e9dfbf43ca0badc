// How stages name kinds and other stages, and the refusals of what they cannot name.

#include "base/spelling.h"
#include "pipeline/stage_graph.h"
#include "pipeline/unset_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bissl::host {
namespace {

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

}  // namespace

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

void StageGraph::report_unset_keys() {
  for (const StageDraft& draft : drafts_) {
    if (!draft.incomplete) {
      report_unset(draft.table.unset, draft.table, path(draft), diagnostics_);
    }
  }
}

}  // namespace bissl::host
