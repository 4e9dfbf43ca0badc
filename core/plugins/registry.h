#pragma once

#include "plugins/component.h"
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

  /// Loads one library. Returns false, with the reasons in report(), if it is refused. Components
  /// whose names are taken are left out and reported; the others of the library are taken. The same
  /// file asked for twice is loaded, or refused, once.
  bool load_library(const std::filesystem::path& library, bool trusted);

  /// The component called `name`, plain or qualified ("library/component"), or null.
  std::shared_ptr<const RegisteredComponent> find(ComponentKind kind,
                                                  const std::string& name) const;

  /// All components, by kind and then by name.
  std::vector<std::shared_ptr<const RegisteredComponent>> components() const;

  /// The libraries that were accepted, in the order of loading.
  const std::vector<LibraryIdentity>& libraries() const { return libraries_; }

  const LoadReport& report() const { return report_; }

 private:
  void admit(const std::string& path, const std::filesystem::path& canonical,
             const StepObserver& progress);
  void check_plugin_name(const LibraryIdentity& library) const;

  std::chrono::milliseconds vetting_limit_;
  std::map<std::pair<ComponentKind, std::string>, std::shared_ptr<const RegisteredComponent>>
      components_;
  std::vector<LibraryIdentity> libraries_;
  std::map<std::filesystem::path, bool> seen_;  ///< canonical path → was it accepted
  LoadReport report_;
};

/// <folder of the program>/../lib/bissl/plugins: where the components that ship with it lie.
std::filesystem::path installed_plugin_folder();

}  // namespace bissl::host
