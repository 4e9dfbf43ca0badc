#pragma once

#include "plugins/component.h"
#include "plugins/load_report.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bissl {

/// All components of all loaded libraries. One per process. Not safe for use by several threads
/// while libraries are being loaded; afterwards reading is.
class Registry {
 public:
  /// Loads every *.so directly in `folder`, in the order of their names. Libraries in a `trusted`
  /// folder (the installation's own) are loaded straight away; others are first loaded and
  /// registered in a child process, so that a crash there is a report and not the end.
  /// A folder that does not exist is a problem only if `must_exist`.
  void load_folder(const std::filesystem::path& folder, bool trusted, bool must_exist);

  /// Loads one library. Returns false, with the reasons in report(), if it is refused. The same
  /// file asked for twice is loaded once.
  bool load_library(const std::filesystem::path& library, bool trusted);

  /// The component called `name`, plain or qualified ("library/component"), or null.
  std::shared_ptr<const Component> find(ComponentKind kind, const std::string& name) const;

  /// All components, by kind and then by name.
  std::vector<std::shared_ptr<const Component>> components() const;

  const LoadReport& report() const { return report_; }

 private:
  std::map<std::pair<ComponentKind, std::string>, std::shared_ptr<const Component>> components_;
  LoadReport report_;
};

/// <folder of the program>/../lib/bissl/plugins: where the components that ship with it lie.
std::filesystem::path installed_plugin_folder();

}  // namespace bissl
