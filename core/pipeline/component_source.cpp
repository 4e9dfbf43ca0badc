#include "pipeline/component_source.h"

#include "plugins/collector.h"
#include "plugins/search.h"

#include <algorithm>

namespace bissl::host {

std::shared_ptr<const RegisteredComponent> RegistrySource::find(ComponentKind kind,
                                                                const std::string& name) const {
  return search_.registry().find(kind, name);
}

std::vector<std::shared_ptr<const RegisteredComponent>> RegistrySource::components() const {
  return search_.registry().components();
}

std::vector<FolderProblem> RegistrySource::add_folder(const std::filesystem::path& folder) {
  if (!search_.third_party()) {
    return {{false, folder.string() + " is left out, as --no-third-party asks for"}};
  }
  const size_t before = search_.registry().report().problems.size();
  search_.add_pipeline_folder(folder);
  const std::vector<LoadProblem>& problems = search_.registry().report().problems;
  std::vector<FolderProblem> result;
  for (size_t i = before; i < problems.size(); ++i) {
    result.push_back({problems[i].step == "find", problems[i].message()});
  }
  return result;
}

std::vector<std::string> RegistrySource::refused() const {
  std::vector<std::string> paths;
  for (const LoadProblem& problem : search_.registry().report().problems) {
    if (problem.code != name_taken &&
        std::find(paths.begin(), paths.end(), problem.path) == paths.end()) {
      paths.push_back(problem.path);
    }
  }
  return paths;
}

void RegistrySource::finish() { late_problems_ = search_.finish(); }

std::vector<std::string> RegistrySource::searched() const {
  return search_.registry().report().searched;
}

}  // namespace bissl::host
