#pragma once

#include "plugins/component.h"
#include "plugins/library_index.h"
#include "plugins/load_report.h"
#include "plugins/refusal.h"

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// All components of all loaded libraries. One per process. Not safe for use by several threads
/// while libraries are being loaded; afterwards reading is.
///
/// Load before the process starts threads: libraries that are not trusted are first tried in a
/// child process (vetting.h), which is forked.
class Registry {
 public:
  /// A library that is not trusted is given up when trying it takes longer than `vetting_limit`.
  explicit Registry(std::chrono::milliseconds vetting_limit = std::chrono::seconds(10))
      : vetting_limit_(vetting_limit) {}

  /// Loads every *.so directly in `folder`, in the order of their names. Libraries in a `trusted`
  /// folder (the installation's own) are loaded straight away; others are first loaded and
  /// registered in a child process, so that a crash there is a report and not the end.
  /// A folder that does not exist is a problem only if `must_exist`.
  void load_folder(const std::filesystem::path& folder, bool trusted, bool must_exist);

  /// load_folder of the installation's own folder, which is trusted and must exist. Where `index`,
  /// a file, has a record of these very libraries, each of them is opened when it is first asked
  /// for; otherwise all are loaded, and the record is written unless something was wrong. An empty
  /// path: without a record.
  void load_own_folder(const std::filesystem::path& folder, const std::filesystem::path& index);

  /// Loads one library. Returns false, with the reasons in report(), if it is refused. Components
  /// whose names are taken are left out and reported; the others of the library are taken. The same
  /// file asked for twice is loaded, or refused, once.
  bool load_library(const std::filesystem::path& library, bool trusted);

  /// The component called `name`, plain or qualified ("library/component"), or null. May open the
  /// library that has it; if that is refused now, report() says why.
  std::shared_ptr<const RegisteredComponent> find(ComponentKind kind,
                                                  const std::string& name) const;

  /// The components of any kind that are called so, by kind.
  std::vector<std::shared_ptr<const RegisteredComponent>> called(const std::string& name) const;

  /// All components, by kind and then by name. Opens all libraries.
  std::vector<std::shared_ptr<const RegisteredComponent>> components() const;

  /// The libraries that were accepted, in the order of loading.
  const std::vector<LibraryIdentity>& libraries() const { return libraries_; }

  const LoadReport& report() const { return report_; }

 private:
  using Key = std::pair<ComponentKind, std::string>;

  void admit(const std::string& path, const std::filesystem::path& canonical,
             const StepObserver& progress);
  void check_plugin_name(const LibraryIdentity& library) const;
  void take(const LibraryIdentity& library, BisslRegisterFunction register_components) const;
  bool defer(const std::filesystem::path& folder, const std::filesystem::path& index);
  void keep_index(size_t first, const std::filesystem::path& index) const;
  void open_deferred(const Key& key) const;

  std::chrono::milliseconds vetting_limit_;
  // What find() may change: a library that was not opened so far counts as loaded.
  mutable std::map<Key, std::shared_ptr<const RegisteredComponent>> components_;
  mutable std::map<Key, LibraryIdentity> deferred_;  ///< components of libraries to be opened
  mutable LoadReport report_;
  std::vector<LibraryIdentity> libraries_;
  std::map<std::filesystem::path, bool> seen_;  ///< canonical path → was it accepted
};

/// <folder of the program>/../lib/bissl/plugins: where the components that ship with it lie.
std::filesystem::path installed_plugin_folder();

}  // namespace bissl::host
