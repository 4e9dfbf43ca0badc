#pragma once

#include "plugins/registry.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

/// Loads plugins from everywhere, in this order:
///
///   1. the folders named on the command line (--plugin-path)
///   2. those of BISSL_PLUGIN_PATH, separated by colons
///   3. those of the pipeline's own table [plugins]
///   4. the user's folder: $XDG_DATA_HOME/bissl/plugins, or ~/.local/share/bissl/plugins
///   5. the installation's own, lib/bissl/plugins beside the program's folder
///
/// The first library with a name, of its own or of a component, has it. A later library of the same
/// name is refused, a later component of the same name and kind is left out, and both are reported.
/// Nothing is loaded from the current directory unless one of these names it. Without third parties
/// only the last place is searched.
class PluginSearch {
 public:
  /// `records`: a folder in which records of what the installation's own libraries register are
  /// kept from one process to the next, so that only those are opened that are used; empty: none.
  PluginSearch(Registry& registry, std::vector<std::string> named, bool third_party,
               std::filesystem::path records = {})
      : registry_(registry),
        named_(std::move(named)),
        third_party_(third_party),
        records_(std::move(records)) {}

  /// Places 1 and 2.
  void begin();

  /// A folder of place 3, between begin() and finish(). Ignored without third parties.
  void add_pipeline_folder(const std::filesystem::path& folder);

  /// Places 4 and 5; returns what was refused there. Calls after the first do nothing.
  std::vector<LoadProblem> finish();

  Registry& registry() { return registry_; }
  bool third_party() const { return third_party_; }

 private:
  std::filesystem::path record_of(const std::filesystem::path& folder) const;

  Registry& registry_;
  std::vector<std::string> named_;
  bool third_party_;
  std::filesystem::path records_;
  bool finished_ = false;
};

/// Place 4; empty if the environment names neither a data nor a home folder.
std::filesystem::path user_plugin_folder();

}  // namespace bissl::host
