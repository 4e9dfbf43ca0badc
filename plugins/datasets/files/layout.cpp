#include "layout.h"

#include "layout_search.h"

#include "bissl/error.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace bissl {
namespace {

namespace fs = std::filesystem;

/// How many folders beside the expected one are looked into for the content.
constexpr int most_looked_into = 200;

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// The entries of a folder that are of a kind, but hidden ones.
template <class Kind>
std::vector<std::string> entries(const fs::path& folder, Kind is_of_kind) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::string name = entry->path().filename().string();
    std::error_code unknown;
    if (!name.starts_with('.') && is_of_kind(*entry, unknown)) {
      names.push_back(std::move(name));
    }
  }
  if (error) {
    fail_input("{}: cannot be listed: {}", folder.string(), error.message());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The folder that has the mark: `root` or one of those below it; empty if none has.
fs::path marked_folder(const LayoutDescription& description, const fs::path& root) {
  if (is_there(root / description.mark)) {
    return root;
  }
  for (const std::string& top : description.tops) {
    if (is_there(root / top / description.mark)) {
      return root / top;
    }
  }
  return {};
}

/// What to say of a path at which there is no such thing.
std::string absence(const fs::path& path, const char* what) {
  std::error_code error;
  if (fs::exists(path, error)) {
    return fmt::format("is not a {}", what);
  }
  return error ? fmt::format("cannot be looked up: {}", error.message())
               : fmt::format("no such {}", what);
}

[[noreturn]] void fail_elsewhere(const LayoutDescription& description, const fs::path& root) {
  std::vector<std::string> places{description.mark};
  for (const std::string& top : description.tops) {
    places.push_back(top + "/" + description.mark);
  }
  for (const std::string& place : places) {
    std::error_code error;
    if (!fs::exists(root / place, error) && error) {
      fail_input("{}: cannot be looked up: {}; it may hold {}. Expected: {}",
                 (root / place).string(), error.message(), description.dataset, description.tree);
    }
  }
  const std::string elsewhere = place_near(description, root);
  fail_input("{}: does not hold {}: no {} there, but {}. {}Expected: {}", root.string(),
             description.dataset, fmt::join(places, " or "), names_in(root),
             elsewhere.empty() ? "" : fmt::format("It is in {}: set `root` to that. ", elsewhere),
             description.tree);
}

}  // namespace

Layout::Layout(LayoutDescription description, const fs::path& root)
    : description_(std::move(description)) {
  std::error_code error;
  if (!fs::is_directory(root, error)) {
    fail_input("{}: {}; `root` is the folder that holds {}. Expected: {}", root.string(),
               absence(root, "folder"), description_.dataset, description_.tree);
  }
  base_ = marked_folder(description_, root);
  if (base_.empty()) {
    fail_elsewhere(description_, root);
  }
}

bool Layout::is_at(const LayoutDescription& description, const fs::path& root) {
  return !marked_folder(description, root).empty();
}

void Layout::fail_missing(const std::string& name, const char* what) const {
  const fs::path path = base_ / name;
  fail_input("{}: {}; {} needs it, and {} holds {}. Expected: {}", path.string(),
             absence(path, what), description_.dataset, path.parent_path().string(),
             names_in(path.parent_path()), description_.tree);
}

fs::path Layout::file(const std::string& name) const {
  if (!has_file(name)) {
    fail_missing(name, "file");
  }
  return base_ / name;
}

fs::path Layout::folder(const std::string& name) const {
  std::error_code error;
  if (!fs::is_directory(base_ / name, error)) {
    fail_missing(name, "folder");
  }
  return base_ / name;
}

bool Layout::has_file(const std::string& name) const {
  std::error_code error;
  return fs::is_regular_file(base_ / name, error);
}

std::vector<std::string> Layout::folders_in(const std::string& name) const {
  return entries(folder(name), [](const fs::directory_entry& entry, std::error_code& error) {
    return entry.is_directory(error);
  });
}

std::vector<std::string> Layout::files_in(const std::string& name) const {
  return entries(folder(name), [](const fs::directory_entry& entry, std::error_code& error) {
    return entry.is_regular_file(error);
  });
}

std::string place_near(const LayoutDescription& description, const fs::path& root) {
  fs::path above = root;
  for (int level = 0; level < 3 && above.has_parent_path() && above != above.parent_path();
       ++level) {
    above = above.parent_path();
    if (!marked_folder(description, above).empty()) {
      return above.string();
    }
  }
  int looked_into = 0;
  std::error_code error;
  for (fs::directory_iterator entry(root, error);
       !error && entry != fs::directory_iterator() && ++looked_into <= most_looked_into;
       entry.increment(error)) {
    if (!marked_folder(description, entry->path()).empty()) {
      return entry->path().string();
    }
  }
  return "";
}

std::string names_in(const fs::path& folder, size_t most) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (names.empty() && is_there(folder)) {
    return error ? fmt::format("what cannot be listed ({})", error.message()) : "nothing";
  }
  if (names.empty()) {
    return "no such folder";
  }
  std::sort(names.begin(), names.end());
  const size_t more = names.size() - std::min(most, names.size());
  names.resize(names.size() - more);
  return fmt::format("{}{}", fmt::join(names, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : "");
}

}  // namespace bissl
