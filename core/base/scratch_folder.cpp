#include "base/scratch_folder.h"

#include "bissl/error.h"

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace bissl::host {

std::filesystem::path temporary_place() {
  std::error_code error;
  std::filesystem::path place = std::filesystem::temp_directory_path(error);
  if (error) {
    const char* const given = std::getenv("TMPDIR");
    fail_run(
        "there is no folder for temporary files: {}: {}. Set TMPDIR in the environment to a folder "
        "that can be written",
        given == nullptr ? "/tmp" : given, error.message());
  }
  return place;
}

ScratchFolder::ScratchFolder(const std::filesystem::path& place, const std::string& name) {
  std::string pattern = (place / (name + "-XXXXXX")).string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    fail_run("cannot make a folder {}: {}. TMPDIR names the folder for temporary files", pattern,
             std::generic_category().message(errno));
  }
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace bissl::host
