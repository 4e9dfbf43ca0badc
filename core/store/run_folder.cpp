#include "store/run_folder.h"

#include "base/atomic_file.h"
#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "pipeline/run_names.h"
#include "store/run_results.h"
#include "store/stage_store.h"

#include <unistd.h>

#include <cerrno>
#include <functional>
#include <optional>
#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

void check_name(const char* what, const std::string& name) {
  if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    fail_input(
        "the {} name \"{}\" cannot serve as a folder's: it must not be empty, start with a "
        "dot or hold a slash",
        what, name);
  }
}

/// The way from one folder to another with all links on it resolved: ".." leads up from where a
/// link leads to, not from where it lies.
fs::path relative_way(const fs::path& from, const fs::path& to) {
  std::error_code error_from;
  std::error_code error_to;
  const fs::path way =
      fs::weakly_canonical(to, error_to).lexically_relative(fs::weakly_canonical(from, error_from));
  return error_from || error_to || way.empty() ? fs::absolute(to) : way;
}

void remove_file(const fs::path& file) {
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
    fail_write(file, errno);
  }
}

/// Removes the profiles in a folder, and the folder if nothing else is in it.
void remove_profiles(const fs::path& folder) {
  std::error_code ignored;
  std::vector<fs::path> doomed;
  for (fs::directory_iterator item(folder, ignored), end; item != end; item.increment(ignored)) {
    const std::string name = item->path().filename().string();
    if (name.ends_with(profile_text_ending) || name.ends_with(profile_trace_ending)) {
      doomed.push_back(item->path());
    }
  }
  for (const fs::path& file : doomed) {
    remove_file(file);
  }
  fs::remove(folder, ignored);
}

/// The key of the stage that a link leads to; none for what is no link into a store.
std::optional<std::string> linked_key(const fs::directory_entry& item) {
  std::error_code ignored;
  if (!item.is_symlink(ignored)) {
    return std::nullopt;
  }
  const std::string target = fs::read_symlink(item.path(), ignored).filename().string();
  const std::string key = target.substr(0, target.find('.'));
  return is_stage_key(key) ? std::optional(key) : std::nullopt;
}

/// Removes the links into a store that `keep` does not want.
void remove_links(
    const fs::path& folder,
    const std::function<bool(const std::string& name, const std::string& key)>& keep) {
  std::vector<fs::path> doomed;
  std::error_code ignored;
  for (fs::directory_iterator item(folder, ignored), end; item != end; item.increment(ignored)) {
    const std::optional<std::string> key = linked_key(*item);
    if (key && !keep(item->path().filename().string(), *key)) {
      doomed.push_back(item->path());
    }
  }
  for (const fs::path& link : doomed) {
    remove_file(link);
  }
}

}  // namespace

RunFolder::RunFolder(const fs::path& parent, const std::string& name) : path_(parent / name) {
  check_name("run's", name);
  make_folder(path_);
}

std::string link_problem(const fs::path& run, const std::string& stage) {
  std::error_code ignored;
  const fs::file_type type = fs::symlink_status(run / stage, ignored).type();
  const bool is_free = type == fs::file_type::symlink || type == fs::file_type::not_found ||
                       type == fs::file_type::none;
  return is_free ? ""
                 : fmt::format(
                       "cannot make the link {}: something that is no link has this name. "
                       "Move it away, or give the run another name",
                       (run / stage).string());
}

void RunFolder::keep_only(const std::map<std::string, std::string>& stages) const {
  const auto is_wanted = [&](const std::string& name, const std::string& key) {
    const auto found = stages.find(name);
    return found != stages.end() && found->second == key;
  };
  remove_links(path_, is_wanted);
  std::error_code ignored;
  if (!fs::exists(path_ / run_results_file, ignored)) {
    return;
  }
  std::optional<RunResults> results = run_results_if_there(path_);
  const size_t before = results ? results->stages.size() : 0;
  if (results) {
    std::erase_if(results->stages,
                  [&](const auto& stage) { return !is_wanted(stage.first, stage.second.key); });
  }
  if (!results || results->stages.empty()) {
    remove_file(path_ / run_results_file);
  } else if (results->stages.size() != before) {
    write_results(*results);
  }
}

void RunFolder::clear(const fs::path& folder) {
  // The results first: without them nothing here passes for a result.
  remove_file(folder / run_results_file);
  remove_links(folder, [](const std::string&, const std::string&) { return false; });
  remove_file(folder / run_lock_file);
  remove_profiles(folder / run_profile_folder);
  std::error_code ignored;  // of a folder that holds something else
  fs::remove(folder, ignored);
}

void RunFolder::link_stage(const std::string& stage, const fs::path& target) const {
  check_name("stage's", stage);
  if (is_run_file(stage)) {
    fail_input("the stage's name \"{}\" is that of a file of the run", stage);
  }
  const fs::path link = path_ / stage;
  const std::string problem = link_problem(path_, stage);
  if (!problem.empty()) {
    fail_run("{}", problem);
  }
  const fs::path temporary = temporary_path(path_);
  if (::symlink(relative_way(path_, target).c_str(), temporary.c_str()) != 0) {
    fail_write(link, errno);
  }
  try {
    rename_path(temporary, link);
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
}

void RunFolder::write_lock(std::string_view toml) const {
  write_file_atomically(path_ / run_lock_file, toml);
}

void RunFolder::write_results(const RunResults& results) const {
  write_file_atomically(path_ / run_results_file, json_text(results.to_json(), 2) + "\n");
}

}  // namespace bissl::host
