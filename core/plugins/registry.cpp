#include "plugins/registry.h"

#include "bissl/error.h"
#include "plugins/collector.h"
#include "plugins/elf.h"
#include "plugins/library.h"
#include "plugins/stamp.h"
#include "plugins/vetting.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <system_error>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse_path(const char* code, std::string found, std::string expected,
                              std::string advice) {
  throw Refusal({"", "find", code, std::move(found), std::move(expected), std::move(advice)});
}

std::string type_name(fs::file_type type) {
  switch (type) {
    case fs::file_type::regular:
      return "a file";
    case fs::file_type::directory:
      return "a folder";
    case fs::file_type::block:
    case fs::file_type::character:
      return "a device";
    case fs::file_type::fifo:
      return "a named pipe";
    case fs::file_type::socket:
      return "a socket";
    default:
      return "something of an unknown type";
  }
}

/// For reports; as given where the current folder has been removed.
fs::path absolute_path(const fs::path& path) {
  std::error_code error;
  const fs::path result = fs::absolute(path, error);
  return (error ? path : result).lexically_normal();
}

/// The canonical path of something that is there; throws a Refusal otherwise.
fs::path resolve(const fs::path& path, const char* expected) {
  std::error_code error;
  const fs::path canonical = fs::canonical(path, error);
  if (!error) {
    return canonical;
  }
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) {
    std::error_code ignored;
    const bool link = fs::is_symlink(fs::symlink_status(path, ignored));
    refuse_path("missing", link ? "a link that leads nowhere" : "nothing", expected,
                "correct the path");
  }
  refuse_path("unreadable", error.message(), fmt::format("{} that can be read", expected),
              error == std::errc::permission_denied ? "let this user search the folders of the path"
                                                    : "correct the path");
}

fs::path find_library(const fs::path& path) {
  const fs::path canonical = resolve(path, "a plugin library");
  std::error_code error;
  const fs::file_type type = fs::status(canonical, error).type();
  if (type != fs::file_type::regular) {
    refuse_path("not_a_file", type_name(type), "a plugin library",
                "give the path of a .so file, or take this away");
  }
  if (access(canonical.c_str(), R_OK) != 0) {
    refuse_path("unreadable", std::strerror(errno), "a plugin library that can be read",
                "let this user read it (chmod)");
  }
  return canonical;
}

/// Everything called *.so in the folder, by name.
std::vector<fs::path> libraries_in(const fs::path& folder) {
  const fs::path canonical = resolve(folder, "a folder of plugin libraries");
  std::error_code error;
  if (!fs::is_directory(canonical, error)) {
    refuse_path("not_a_folder", type_name(fs::status(canonical, error).type()),
                "a folder of plugin libraries", "give the folder, not a file in it");
  }
  std::vector<fs::path> found;
  fs::directory_iterator entry(canonical, error);
  while (!error && entry != fs::directory_iterator()) {
    if (entry->path().extension() == ".so") {
      found.push_back(folder / entry->path().filename());
    }
    entry.increment(error);
  }
  if (error) {
    refuse_path("unreadable", error.message(), "a folder that can be read",
                "let this user read it (chmod)");
  }
  std::sort(found.begin(), found.end());
  return found;
}

const BisslPluginStamp* call_entry(BisslEntryFunction entry) {
  const BisslPluginStamp* stamp = nullptr;
  std::string found = "a null pointer";
  try {
    stamp = entry();
  } catch (...) {
    found = "an exception";
  }
  if (stamp == nullptr) {
    throw Refusal({"", "entry", "null_entry", fmt::format("{} from " BISSL_ENTRY_SYMBOL, found),
                   "a pointer to the library's stamp",
                   "let the macro BISSL_PLUGIN define " BISSL_ENTRY_SYMBOL});
  }
  return stamp;
}

/// An open library whose stamp was accepted.
struct OpenLibrary {
  LibraryIdentity identity;
  BisslRegisterFunction register_components;
};

OpenLibrary open_checked(const std::string& path, const fs::path& canonical,
                         const StepObserver& progress) {
  progress("opening");
  const BisslEntryFunction entry = open_library(canonical);
  progress("reading its stamp");
  const BisslPluginStamp* const stamp = call_entry(entry);
  check_stamp(stamp, host_stamp());
  OpenLibrary open{identity_of(*stamp, path), stamp->register_components};
  open.identity.file = stamp_of_file(path).value_or(FileStamp{});
  return open;
}

LoadProblem at_path(LoadProblem problem, const std::string& path) {
  problem.path = path;
  return problem;
}

}  // namespace

void Registry::load_folder(const fs::path& folder, bool trusted, bool must_exist) {
  const fs::path path = absolute_path(folder);
  if (std::find(report_.searched.begin(), report_.searched.end(), path.string()) ==
      report_.searched.end()) {
    report_.searched.push_back(path.string());
  }
  std::vector<fs::path> libraries;
  try {
    libraries = libraries_in(path);
  } catch (const Refusal& refusal) {
    if (must_exist || refusal.problem().code != "missing") {
      report_.problems.push_back(at_path(refusal.problem(), path.string()));
    }
  }
  for (const fs::path& library : libraries) {
    load_library(library, trusted);
  }
}

bool Registry::load_library(const fs::path& library, bool trusted) {
  const fs::path path = absolute_path(library);
  try {
    const fs::path canonical = find_library(path);
    if (const auto known = seen_.find(canonical); known != seen_.end()) {
      return known->second;
    }
    bool& accepted = seen_[canonical];
    check_is_library(canonical);
    if (!trusted) {
      auto problems = vet(path.string(), vetting_limit_, [&](const StepObserver& progress) {
        std::vector<LoadProblem> found;
        try {
          admit(path.string(), canonical, progress);
        } catch (const Refusal& refusal) {
          found.push_back(at_path(refusal.problem(), path.string()));
        }
        return found;
      });
      if (!problems.empty()) {
        report_.problems.insert(report_.problems.end(), problems.begin(), problems.end());
        return false;
      }
    }
    admit(path.string(), canonical, [](const char* /*doing*/) {});
    accepted = true;
    return true;
  } catch (const Refusal& refusal) {
    report_.problems.push_back(at_path(refusal.problem(), path.string()));
    return false;
  }
}

/// Opens, checks and registers: all of the library's components whose names are free, at least one,
/// or, with a Refusal, none.
void Registry::admit(const std::string& path, const fs::path& canonical,
                     const StepObserver& progress) {
  const OpenLibrary open = open_checked(path, canonical, progress);
  check_plugin_name(open.identity);
  progress("registering");
  take(open.identity, open.register_components);
  libraries_.push_back(open.identity);
  report_.loaded.push_back(path);
}

void Registry::take(const LibraryIdentity& library,
                    BisslRegisterFunction register_components) const {
  Collector collector(
      library, [this](ComponentKind kind, const std::string& name) { return find(kind, name); });
  for (auto& component : collector.collect(register_components)) {
    const Key key(component->info.kind, component->info.text.name);
    components_.emplace(key, std::move(component));
  }
  for (const LoadProblem& problem : collector.left_out()) {
    report_.problems.push_back(at_path(problem, library.path));
  }
}

void Registry::load_own_folder(const fs::path& folder, const fs::path& index) {
  if (!index.empty() && defer(absolute_path(folder), index)) {
    return;
  }
  const size_t first = libraries_.size();
  const size_t problems = report_.problems.size();
  load_folder(folder, /*trusted=*/true, /*must_exist=*/true);
  if (!index.empty() && report_.problems.size() == problems) {
    keep_index(first, index);
  }
}

/// Takes the folder's libraries as loaded, by their record; false, and nothing is done, without one
/// and where a name is taken: then loading says what there is to say.
bool Registry::defer(const fs::path& folder, const fs::path& index) {
  std::vector<fs::path> paths;
  try {
    paths = libraries_in(folder);
  } catch (const Refusal&) {
    return false;
  }
  const auto indexed = read_library_index(index, paths);
  if (!indexed) {
    return false;
  }
  std::map<Key, LibraryIdentity> deferred;
  for (const IndexedLibrary& one : *indexed) {
    const auto has_name = [&](const LibraryIdentity& other) {
      return other.name == one.library.name;
    };
    if (std::any_of(libraries_.begin(), libraries_.end(), has_name)) {
      return false;
    }
    for (const Key& key : one.components) {
      if (components_.count(key) != 0 || !deferred.emplace(key, one.library).second) {
        return false;
      }
    }
  }
  deferred_ = std::move(deferred);
  report_.searched.push_back(folder.string());
  for (const IndexedLibrary& one : *indexed) {
    libraries_.push_back(one.library);
    report_.loaded.push_back(one.library.path);
    std::error_code error;
    seen_[fs::canonical(one.library.path, error)] = true;
  }
  return true;
}

/// Writes the record of the libraries from number `first` on.
void Registry::keep_index(size_t first, const fs::path& index) const {
  std::vector<IndexedLibrary> indexed;
  for (size_t i = first; i < libraries_.size(); ++i) {
    indexed.push_back({libraries_[i], {}});
    for (const auto& [key, component] : components_) {
      if (component->library.path == libraries_[i].path) {
        indexed.back().components.push_back(key);
      }
    }
  }
  write_library_index(index, indexed);
}

/// Opens the library that has this component. It was accepted when the record was made, and is the
/// same file still unless it was replaced in these moments.
void Registry::open_deferred(const Key& key) const {
  const LibraryIdentity library = deferred_.at(key);
  std::erase_if(deferred_, [&](const auto& entry) { return entry.second.path == library.path; });
  try {
    const fs::path canonical = find_library(library.path);
    check_is_library(canonical);
    const OpenLibrary open = open_checked(library.path, canonical, [](const char* /*doing*/) {});
    take(open.identity, open.register_components);
  } catch (const Refusal& refusal) {
    report_.problems.push_back(at_path(refusal.problem(), library.path));
  }
}

void Registry::check_plugin_name(const LibraryIdentity& library) const {
  const auto same =
      std::find_if(libraries_.begin(), libraries_.end(),
                   [&](const LibraryIdentity& other) { return other.name == library.name; });
  if (same != libraries_.end()) {
    throw Refusal({"", "stamp", "duplicate_plugin",
                   fmt::format("a second plugin \"{}\", in {}; the first is in {}", library.name,
                               library.path, same->path),
                   "plugin names that are used once",
                   "rename one of the two, or load only one of the libraries"});
  }
}

std::shared_ptr<const RegisteredComponent> Registry::find(ComponentKind kind,
                                                          const std::string& name) const {
  const size_t slash = name.find('/');
  const bool qualified = slash != std::string::npos;
  const Key key(kind, qualified ? name.substr(slash + 1) : name);
  if (deferred_.count(key) != 0) {
    open_deferred(key);
  }
  const auto found = components_.find(key);
  if (found == components_.end() ||
      (qualified && found->second->library.name != name.substr(0, slash))) {
    return nullptr;
  }
  return found->second;
}

std::vector<std::shared_ptr<const RegisteredComponent>> Registry::called(
    const std::string& name) const {
  std::vector<std::shared_ptr<const RegisteredComponent>> found;
  for (const ComponentKind kind :
       {ComponentKind::dataset, ComponentKind::augmentation, ComponentKind::backbone,
        ComponentKind::pretext, ComponentKind::downstream, ComponentKind::hypergradient,
        ComponentKind::optimizer, ComponentKind::transform}) {
    if (auto component = find(kind, name)) {
      found.push_back(std::move(component));
    }
  }
  return found;
}

std::vector<std::shared_ptr<const RegisteredComponent>> Registry::components() const {
  while (!deferred_.empty()) {
    open_deferred(deferred_.begin()->first);
  }
  std::vector<std::shared_ptr<const RegisteredComponent>> all;
  all.reserve(components_.size());
  for (const auto& [key, component] : components_) {
    all.push_back(component);
  }
  return all;
}

fs::path installed_plugin_folder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) {
    fail_run(
        "cannot tell where this program lies (/proc/self/exe: {}), so its plugins cannot be "
        "found; is /proc mounted?",
        error.message());
  }
  return (program.parent_path() / "../lib/bissl/plugins").lexically_normal();
}

}  // namespace bissl::host
