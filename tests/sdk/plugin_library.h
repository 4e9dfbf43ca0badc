#pragma once

#include "bissl/plugin.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {

/// A plugin library of the build tree, loaded and registered without the host: its components are
/// tested through the boundary that the host uses. Registering fails for a faulty declaration.
class PluginLibrary : private Registrar {
 public:
  /// Loads `name`.so. Throws std::runtime_error with the reason if that fails.
  explicit PluginLibrary(const std::string& name);

  const ComponentInfo& component(const std::string& name) const { return components_.at(name); }
  std::vector<std::string> names() const;

  /// The component's defaults with `changes` put over them. Throws std::invalid_argument for a
  /// parameter that is not declared or a value that the declaration refuses.
  ParameterValues values(const std::string& name, const ParameterValues& changes = {}) const;

  /// What the component's rules say, each as "parameter: message", warnings with "warning " before.
  std::vector<std::string> findings(const std::string& name, const ParameterValues& changes) const;

  template <class Interface>
  std::shared_ptr<Interface> make(const std::string& name, const ParameterValues& changes = {},
                                  const typename KindOf<Interface>::Context& context = {}) const {
    return std::static_pointer_cast<Interface>(
        component(name).create(values(name, changes), &context));
  }

 private:
  void add(ComponentInfo info) override;

  std::map<std::string, ComponentInfo> components_;
};

/// The library of that name, loaded once in a test program.
const PluginLibrary& shared_library(const std::string& name);

}  // namespace bissl::host::test
