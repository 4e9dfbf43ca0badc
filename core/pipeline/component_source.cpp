#include "pipeline/component_source.h"

#include "plugins/registry.h"

#include <algorithm>

namespace bissl {

std::shared_ptr<const Component> RegistrySource::find(ComponentKind kind,
                                                      const std::string& name) const {
  return registry_.find(kind, name);
}

std::vector<std::shared_ptr<const Component>> RegistrySource::components() const {
  return registry_.components();
}

std::vector<FolderProblem> RegistrySource::add_folder(const std::filesystem::path& folder) {
  const size_t before = registry_.report().problems.size();
  registry_.load_folder(folder, /*trusted=*/false, /*must_exist=*/true);
  const std::vector<LoadProblem>& problems = registry_.report().problems;
  std::vector<FolderProblem> result;
  for (size_t i = before; i < problems.size(); ++i) {
    result.push_back({problems[i].step == "find", problems[i].message()});
  }
  return result;
}

std::vector<std::string> RegistrySource::refused() const {
  std::vector<std::string> paths;
  for (const LoadProblem& problem : registry_.report().problems) {
    if (std::find(paths.begin(), paths.end(), problem.path) == paths.end()) {
      paths.push_back(problem.path);
    }
  }
  return paths;
}

}  // namespace bissl
