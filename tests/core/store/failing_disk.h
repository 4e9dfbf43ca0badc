#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace bissl::host::test {

/// While it lives, no file of this process can grow beyond `bytes`: writing more fails with "File
/// too large", after a short write up to the limit.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(unsigned long bytes);
  ~FileSizeLimit();
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  unsigned long previous_ = 0;
};

/// Runs `body` as somebody whom file permissions hold back, also when the tests run as root. The
/// folder must be one that everybody may enter.
void as_ordinary_user(const std::function<void()>& body);

/// Runs `body` in a child process with a file system of `bytes` mounted on `folder`. Returns what
/// the body returned, or "unavailable" where such a mount is not allowed.
std::string on_small_disk(const std::filesystem::path& folder, unsigned long bytes,
                          const std::function<std::string()>& body);

/// Runs `body` in a child process and returns the code that it left with, or 128 + the signal.
int exit_code_of(const std::function<void()>& body);

/// The text of the bissl::Error that `body` throws, with "input: " or "run: " before it.
std::string error_of(const std::function<void()>& body);

/// The names in a folder, sorted, with blanks between them.
std::string listing(const std::filesystem::path& folder);

}  // namespace bissl::host::test
