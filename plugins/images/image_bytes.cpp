// Image files as bytes: what is read of them before anything is decoded.

#include "image_files.h"

#include "bissl/error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

namespace bissl {
namespace {

using namespace std::string_view_literals;

/// Closes a file when it goes.
class FileHandle {
 public:
  explicit FileHandle(int handle) : handle_(handle) {}
  ~FileHandle() {
    if (handle_ >= 0) {
      ::close(handle_);
    }
  }
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;
  int get() const { return handle_; }

 private:
  int handle_;
};

}  // namespace

std::string read_file_bytes(const std::string& path, int64_t most) {
  // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
  const FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    fail_input("{}: cannot be read: {}", path, std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    fail_input("{}: is {}; expected a file", path,
               S_ISDIR(status.st_mode) ? "a folder" : "no regular file");
  }
  if (status.st_size > most) {
    fail_input("{}: has {} bytes; at most {} are read", path, status.st_size, most);
  }
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  size_t found = 0;
  while (found < bytes.size()) {
    const ssize_t count = ::read(file.get(), bytes.data() + found, bytes.size() - found);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      fail_input("{}: cannot be read after {} bytes: {}", path, found, std::strerror(errno));
    }
    if (count == 0) {
      break;  // it was cut while it was read; the decoder says what is missing
    }
    found += static_cast<size_t>(count);
  }
  bytes.resize(found);
  return bytes;
}

bool is_readable_file(const std::string& path) {
  const FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    // Where it is the process that lacks something, reading the file says so.
    return errno == EMFILE || errno == ENFILE || errno == ENOMEM;
  }
  struct stat status {};
  return ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode);
}

bool is_image_name(std::string_view name) {
  constexpr std::array endings{".jpg"sv,  ".jpeg"sv, ".png"sv, ".webp"sv, ".tif"sv,
                               ".tiff"sv, ".bmp"sv,  ".gif"sv, ".ppm"sv,  ".pgm"sv,
                               ".pbm"sv,  ".pnm"sv,  ".jpe"sv, ".jfif"sv, ".dib"sv};
  const auto same = [](char found, char expected) {
    return (found >= 'A' && found <= 'Z' ? static_cast<char>(found - 'A' + 'a') : found) ==
           expected;
  };
  return std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) {
    return name.size() > ending.size() &&
           std::equal(ending.begin(), ending.end(), name.end() - static_cast<long>(ending.size()),
                      [&](char expected, char found) { return same(found, expected); });
  });
}

}  // namespace bissl
