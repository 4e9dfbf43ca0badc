#include "pipeline/pipeline.h"

#include "bissl/error.h"

#include <map>

namespace bissl {
namespace {

template <class Item>
const Item& named(const std::vector<Item>& items, const std::string& name, const char* what) {
  for (const Item& item : items) {
    if (item.name == name) {
      return item;
    }
  }
  fail_run("the pipeline has no {} \"{}\"", what, name);
}

void note(const ComponentChoice& choice, std::map<std::string, LibraryIdentity>& libraries) {
  if (choice.component) {
    libraries.emplace(choice.component->library.path, choice.component->library);
  }
}

void note(const Table& table, std::map<std::string, LibraryIdentity>& libraries) {
  for (const auto& [name, choice] : table.components) {
    note(choice, libraries);
  }
  for (const auto& [name, below] : table.tables) {
    note(below, libraries);
  }
}

}  // namespace

std::vector<LibraryIdentity> Pipeline::libraries() const {
  std::map<std::string, LibraryIdentity> by_path;
  note(backbone, by_path);
  for (const DataSource& source : data) {
    note(source.dataset, by_path);
  }
  for (const Stage& stage : stages) {
    note(stage.table, by_path);
  }
  std::vector<LibraryIdentity> libraries;
  libraries.reserve(by_path.size());
  for (const auto& [path, library] : by_path) {
    libraries.push_back(library);
  }
  return libraries;
}

const DataSource& Pipeline::data_source(const std::string& name) const {
  return named(data, name, "data source");
}

const Stage& Pipeline::stage(const std::string& name) const { return named(stages, name, "stage"); }

}  // namespace bissl
