#include "pipeline/pipeline.h"

#include "bissl/error.h"

#include <fmt/format.h>

#include <map>

namespace bissl::host {
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
  if (table.views) {
    for (const ViewGroup& group : table.views->groups) {
      for (const ComponentChoice& step : group.augment.steps) {
        note(step, libraries);
      }
    }
  }
  for (const auto& [name, below] : table.tables) {
    note(below, libraries);
  }
  for (const auto& [name, items] : table.lists) {
    for (const Table& item : items) {
      note(item, libraries);
    }
  }
}

}  // namespace

std::optional<int64_t> ViewsChoice::count() const {
  if (!declares_number) {
    return std::nullopt;
  }
  int64_t sum = 0;
  for (const ViewGroup& group : groups) {
    sum += group.count;
  }
  return sum;
}

std::string ViewsChoice::describe() const {
  return fmt::format("{} ({})", declares_number ? "views" : "augment", origin);
}

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

std::vector<std::string> data_names(const Table& table) {
  std::vector<std::string> names;
  for (const std::string& key : table.data_keys) {
    const Value& value = table.values.at(key);
    if (const auto* text = std::get_if<std::string>(&value); text != nullptr && !text->empty()) {
      names.push_back(*text);
    } else if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
      names.insert(names.end(), texts->begin(), texts->end());
    }
  }
  for (const auto& [key, below] : table.tables) {
    const std::vector<std::string> found = data_names(below);
    names.insert(names.end(), found.begin(), found.end());
  }
  for (const auto& [key, items] : table.lists) {
    for (const Table& item : items) {
      const std::vector<std::string> found = data_names(item);
      names.insert(names.end(), found.begin(), found.end());
    }
  }
  return names;
}

const DataSource& Pipeline::data_source(const std::string& name) const {
  return named(data, name, "data source");
}

const Stage& Pipeline::stage(const std::string& name) const { return named(stages, name, "stage"); }

}  // namespace bissl::host
