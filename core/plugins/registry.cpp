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
  progress("opening");
  const BisslEntryFunction entry = open_library(canonical);
  progress("reading its stamp");
  const BisslPluginStamp* const stamp = call_entry(entry);
  check_stamp(stamp, host_stamp());
  LibraryIdentity library = identity_of(*stamp, path);
  library.file = stamp_of_file(path).value_or(FileStamp{});
  check_plugin_name(library);
  progress("registering");
  Collector collector(
      library, [this](ComponentKind kind, const std::string& name) { return find(kind, name); });
  for (auto& component : collector.collect(stamp->register_components)) {
    const auto key = std::pair(component->info.kind, component->info.text.name);
    components_.emplace(key, std::move(component));
  }
  for (const LoadProblem& problem : collector.left_out()) {
    report_.problems.push_back(at_path(problem, path));
  }
  libraries_.push_back(library);
  report_.loaded.push_back(path);
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
  const auto found = components_.find({kind, qualified ? name.substr(slash + 1) : name});
  if (found == components_.end() ||
      (qualified && found->second->library.name != name.substr(0, slash))) {
    return nullptr;
  }
  return found->second;
}

std::vector<std::shared_ptr<const RegisteredComponent>> Registry::components() const {
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
