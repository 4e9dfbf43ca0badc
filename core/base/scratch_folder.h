#pragma once

#include <filesystem>
#include <string>

namespace bissl::host {

/// The folder for temporary files: TMPDIR, else /tmp. Throws Error(run), naming TMPDIR, where it is
/// none.
std::filesystem::path temporary_place();

/// A new, empty folder that is removed with all its content when this goes.
class ScratchFolder {
 public:
  /// In the folder `place`, named `name` and six further characters; the user alone may use it.
  /// Throws Error(run) where it cannot be made.
  ScratchFolder(const std::filesystem::path& place, const std::string& name);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace bissl::host
