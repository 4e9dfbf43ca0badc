#include "store/run_folder.h"

#include "bissl/error.h"
#include "pipeline/run_names.h"
#include "store/atomic_file.h"
#include "store/posix_file.h"
#include "text/json_text.h"

#include <unistd.h>
#include <nlohmann/json.hpp>

#include <cerrno>

namespace bissl {
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

void RunFolder::write_results(const nlohmann::json& results) const {
  write_file_atomically(path_ / run_results_file, json_text(results, 2) + "\n");
}

}  // namespace bissl
