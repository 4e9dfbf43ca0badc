#include "base/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace bissl::host {
namespace {

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path file)
    : file_(std::move(file)), temporary_(temporary_path(folder_of(file_))) {
  open_ = FileDescriptor(
      ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!open_.valid()) {
    fail_write(file_, errno);
  }
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) {
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::write(const void* data, size_t size) { write_all(open_, data, size, file_); }

void AtomicFile::commit() {
  sync(open_, file_);
  // Network file systems report a full disk only here.
  if (!open_.close()) {
    fail_write(file_, errno);
  }
  rename_path(temporary_, file_);
  temporary_.clear();
  sync_folder(folder_of(file_));
}

void write_file_atomically(const std::filesystem::path& file, std::string_view content) {
  AtomicFile atomic(file);
  atomic.write(content);
  atomic.commit();
}

}  // namespace bissl::host
