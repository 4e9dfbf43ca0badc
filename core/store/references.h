#pragma once

#include "base/difference.h"
#include "store/stage_store.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Who refers to which stage of a store.
struct References {
  std::map<std::string, std::vector<std::string>> users;  ///< by key: runs, cells, sweeps
  /// What could not be read, and why: plans of sweeps, folders, links. What those refer to is not
  /// known.
  std::vector<std::string> unreadable;

  /// Nobody: an empty list.
  const std::vector<std::string>& of(const std::string& key) const;
  /// The same of an entry; an audit is used by those who use its stage.
  const std::vector<std::string>& of(const StoreEntry& entry) const;
};

/// Looks through the run folders and sweep folders below `out`: links into the store, and the plans
/// of sweeps.
References find_references(const std::filesystem::path& out);

/// The number of the form that a description has; 0 if it is none. Descriptions of different forms
/// say different things and are not to be compared.
int form_of(const nlohmann::json& description);

/// The finished stage of the same kind and form whose description differs least from this one.
struct NearestEntry {
  StoreEntry entry;
  std::vector<Difference> differences;  ///< left: the description given
};
std::optional<NearestEntry> nearest_entry(const nlohmann::json& description,
                                          const std::vector<StoreEntry>& entries);

/// A path of a stage's description as a user would write it: "hypergradient.damping" for
/// "table.components.hypergradient.values.damping".
std::string readable_path(const std::string& path);

}  // namespace bissl::host
