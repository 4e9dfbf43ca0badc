#include "store/references.h"

#include "bissl/error.h"
#include "store/sweep_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// Notes what an error keeps from sight. What is not there, or no folder, refers to nothing.
void note_error(const fs::path& path, const std::error_code& error, References& references) {
  if (error && error != std::errc::no_such_file_or_directory &&
      error != std::errc::not_a_directory) {
    references.unreadable.push_back(fmt::format("{}: {}", path.string(), error.message()));
  }
}

std::vector<fs::directory_entry> listed(const fs::path& folder, References& references) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  for (fs::directory_iterator item(folder, error), end; !error && item != end;
       item.increment(error)) {
    entries.push_back(*item);
  }
  note_error(folder, error, references);
  return entries;
}

bool is_folder(const fs::directory_entry& entry, References& references) {
  std::error_code error;
  const bool result = entry.is_directory(error);
  note_error(entry.path(), error, references);
  return result;
}

/// Notes the stages that links in a run's folder lead to.
void note_links(const fs::path& run, const std::string& name, References& references) {
  for (const fs::directory_entry& item : listed(run, references)) {
    std::error_code error;
    if (item.is_symlink(error)) {
      const std::string target = fs::read_symlink(item.path(), error).filename().string();
      references.users[target.substr(0, target.find('.'))].push_back(name);
    }
    note_error(item.path(), error, references);
  }
}

/// All stages that a sweep plans: a search's draws have no run folders.
void note_plan(const fs::path& sweep, const std::string& name, References& references) {
  std::error_code error;
  if (!fs::exists(sweep / plan_file, error)) {
    note_error(sweep / plan_file, error, references);
    return;
  }
  try {
    for (const PlanNode& node : load_plan(sweep).nodes) {
      references.users[node.key].push_back(name);
    }
  } catch (const Error& damage) {
    references.unreadable.push_back(damage.what());  // its cells' links still count
  }
}

}  // namespace

int form_of(const nlohmann::json& description) {
  constexpr int before_there_were_numbers = 1;
  return description.is_object() ? description.value("format", before_there_were_numbers) : 0;
}

const std::vector<std::string>& References::of(const std::string& key) const {
  static const std::vector<std::string> nobody;
  const auto found = users.find(key);
  return found == users.end() ? nobody : found->second;
}

const std::vector<std::string>& References::of(const StoreEntry& entry) const {
  const nlohmann::json& what = entry.description;
  const bool is_audit = what.is_object() && what.value("kind", "") == "audit";
  return of(is_audit ? what.value("stage", entry.key) : entry.key);
}

References find_references(const fs::path& out) {
  References references;
  for (const fs::directory_entry& run : listed(out, references)) {
    const std::string name = run.path().filename().string();
    if (name.starts_with('.') || !is_folder(run, references)) {
      continue;
    }
    note_links(run.path(), name, references);
    note_plan(run.path(), name, references);
    for (const fs::directory_entry& cell : listed(run.path() / "cells", references)) {
      note_links(cell.path(), name + "/cells/" + cell.path().filename().string(), references);
    }
  }
  return references;
}

void NearestStage::look_at(const StoreEntry& entry) {
  if (entry.state != StoreEntry::State::finished || !entry.description.is_object()) {
    return;
  }
  if (form_of(entry.description) != form_of(description_)) {
    saw_other_forms_ = true;
    return;
  }
  if (entry.description.value("kind", "") != description_.value("kind", "")) {
    return;
  }
  std::vector<Difference> found = differences(description_, entry.description);
  if (!nearest_ || found.size() < nearest_->differences.size()) {
    nearest_ = Found{entry.key, std::move(found)};
  }
}

std::string readable_path(const std::string& path) {
  std::string result;
  size_t begin = 0;
  bool structure = true;  // the next part may be one of the description's own words
  while (begin <= path.size()) {
    const size_t dot = std::min(path.find('.', begin), path.size());
    const std::string part = path.substr(begin, dot - begin);
    const bool own = part == "table" || part == "values" || part == "components" ||
                     part == "tables" || part == "lists" || part == "dataset" ||
                     part == "selection" || part == "source";
    if (!own || !structure) {
      result += (result.empty() ? "" : ".") + part;
      structure = true;
    } else if (part == "values") {
      structure = false;  // what follows is a parameter's name, whatever it is
    }
    begin = dot + 1;
  }
  return result.empty() ? path : result;
}

}  // namespace bissl::host
