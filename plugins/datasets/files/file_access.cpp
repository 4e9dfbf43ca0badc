#include "file_access.h"

#include "bissl/error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace bissl {
namespace {

/// pread takes no more than this at once on Linux.
constexpr size_t largest_read = size_t{1} << 30;

std::string reason() { return std::generic_category().message(errno); }

}  // namespace

RandomAccessFile::RandomAccessFile(std::filesystem::path path) : path_(std::move(path)) {
  // Without O_NONBLOCK a named pipe would wait for somebody who writes to it.
  descriptor_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    fail_input("{}: cannot be opened: {}", path_.string(), reason());
  }
  struct stat status {};
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor_);
    fail_input("{}: is not a file", path_.string());
  }
  size_ = static_cast<uint64_t>(status.st_size);
  changed_ns_ = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

RandomAccessFile::~RandomAccessFile() { close(descriptor_); }

void RandomAccessFile::read(uint64_t offset, void* target, size_t size) const {
  auto* bytes = static_cast<char*>(target);
  size_t done = 0;
  while (done < size) {
    const ssize_t got = pread(descriptor_, bytes + done, std::min(size - done, largest_read),
                              static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      fail_input("{}: cannot be read at byte {}: {}", path_.string(), offset + done, reason());
    }
    if (got == 0) {
      fail_input(
          "{}: ends at byte {}, where bytes up to {} were expected; was it changed while it "
          "was read?",
          path_.string(), offset + done, offset + size);
    }
    done += static_cast<size_t>(got);
  }
}

std::string read_whole_file(const std::filesystem::path& path, uint64_t most_bytes) {
  const RandomAccessFile file(path);
  if (file.size() > most_bytes) {
    fail_input("{}: has {} bytes; at most {} are read", path.string(), file.size(), most_bytes);
  }
  std::string content(static_cast<size_t>(file.size()), '\0');
  file.read(0, content.data(), content.size());
  return content;
}

}  // namespace bissl
