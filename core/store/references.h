#pragma once

#include "base/difference.h"
#include "store/stage_store.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
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

/// Looks for the finished stage of the same kind and form whose description differs least from a
/// given one, among entries that are seen one after the other.
class NearestStage {
 public:
  /// A stage that was seen.
  struct Found {
    std::string key;                      ///< of the stage
    std::vector<Difference> differences;  ///< left: the description given
  };

  /// Looks for what is near to this description.
  explicit NearestStage(nlohmann::json description) : description_(std::move(description)) {}

  /// Takes an entry into account, whatever its state and kind.
  void look_at(const StoreEntry& entry);

  /// The nearest of those that were seen, the first of several; none if there is none.
  const std::optional<Found>& nearest() const { return nearest_; }
  /// Whether a finished stage was seen whose description has another form.
  bool saw_other_forms() const { return saw_other_forms_; }

 private:
  nlohmann::json description_;
  std::optional<Found> nearest_;
  bool saw_other_forms_ = false;
};

/// A path of a stage's description as a user would write it: "hypergradient.damping" for
/// "table.components.hypergradient.values.damping".
std::string readable_path(const std::string& path);

}  // namespace bissl::host
