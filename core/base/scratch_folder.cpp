#include "base/scratch_folder.h"

#include "bissl/error.h"

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace bissl::host {

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
