#include "pipeline/component_source.h"

#include "plugins/registry.h"

namespace bissl {

std::shared_ptr<const Component> RegistrySource::find(ComponentKind kind,
                                                      const std::string& name) const {
  return registry_.find(kind, name);
}

std::vector<std::shared_ptr<const Component>> RegistrySource::components() const {
  return registry_.components();
}

void RegistrySource::add_folder(const std::filesystem::path& folder) {
  registry_.load_folder(folder, /*trusted=*/false, /*must_exist=*/true);
}

std::vector<LoadProblem> RegistrySource::problems() const { return registry_.report().problems; }

}  // namespace bissl
