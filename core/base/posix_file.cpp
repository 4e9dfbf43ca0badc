#include "base/posix_file.h"

#include "bissl/error.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view temporary_prefix = ".bissl-";
constexpr std::string_view temporary_suffix = ".tmp";

std::string text_of(int error) { return std::generic_category().message(error); }

std::string advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return ". Free some space there, or choose another folder";
    case EROFS:
    case EACCES:
    case EPERM:
      return ". Allow writing there, or choose another folder";
    case EFBIG:
      return ". The file system or a limit (ulimit -f) allows no file of this size";
    case EMFILE:
      return ". Raise the limit on open files (ulimit -n)";
    default:
      return "";
  }
}

/// fsync on what is not a plain file (a pipe, a folder on some network file systems) is refused
/// with these; there is nothing to make durable then.
bool cannot_sync(int error) { return error == EINVAL || error == ENOTSUP || error == EROFS; }

/// Other ones for each process, also on other machines and in other containers; 0 where the system
/// has none to give.
uint64_t random_bits() {
  uint64_t bits = 0;
  [[maybe_unused]] const ssize_t count = getrandom(&bits, sizeof(bits), GRND_NONBLOCK);
  return bits;
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

FileDescriptor::~FileDescriptor() { close(); }

int FileDescriptor::release() { return std::exchange(fd_, -1); }

bool FileDescriptor::close() { return fd_ < 0 || ::close(release()) == 0; }

void fail_write(const fs::path& file, int error) {
  std::error_code ignored;
  if (error == ENOENT && file.has_parent_path() && !fs::exists(file.parent_path(), ignored)) {
    fail_run("cannot write {}: the folder {} does not exist", file.string(),
             file.parent_path().string());
  }
  fail_run("cannot write {}: {}{}", file.string(), text_of(error), advice(error));
}

void fail_read(const fs::path& file, int error) {
  if (error == EMFILE || error == ENFILE || error == ENOMEM) {
    // Nothing is wrong with the file.
    fail_run("cannot read {}: {}{}", file.string(), text_of(error), advice(error));
  }
  fail_input("cannot read {}: {}", file.string(), text_of(error));
}

FileDescriptor open_for_reading(const fs::path& file) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  FileDescriptor open(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!open.valid()) {
    fail_read(file, errno);
  }
  struct stat status {};
  if (fstat(open.get(), &status) != 0) {
    fail_read(file, errno);
  }
  if (!S_ISREG(status.st_mode)) {
    fail_input("cannot read {}: it is {}, not a file", file.string(),
               S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
  }
  return open;
}

uint64_t size_of(const FileDescriptor& open, const fs::path& file) {
  struct stat status {};
  if (fstat(open.get(), &status) != 0) {
    fail_read(file, errno);
  }
  return static_cast<uint64_t>(status.st_size);
}

size_t read_at(const FileDescriptor& open, void* data, size_t size, uint64_t offset,
               const fs::path& file) {
  char* const bytes = static_cast<char*>(data);
  size_t done = 0;
  while (done < size) {
    const ssize_t count =
        pread(open.get(), bytes + done, size - done, static_cast<off_t>(offset + done));
    if (count == 0) {
      break;
    }
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      fail_read(file, errno);
    }
  }
  return done;
}

std::string read_whole(const fs::path& file, uint64_t limit) {
  const FileDescriptor open = open_for_reading(file);
  const uint64_t size = size_of(open, file);
  if (size > limit) {
    fail_input("cannot read {}: it has {} bytes, and no such file has more than {}", file.string(),
               size, limit);
  }
  std::string content(size, '\0');
  content.resize(read_at(open, content.data(), content.size(), 0, file));
  return content;
}

void write_all(const FileDescriptor& open, const void* data, size_t size, const fs::path& file) {
  const char* const bytes = static_cast<const char*>(data);
  size_t done = 0;
  while (done < size) {
    const ssize_t count = ::write(open.get(), bytes + done, size - done);
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (count == 0) {
      fail_run("cannot write {}: only {} of {} bytes were taken", file.string(), done, size);
    } else if (errno != EINTR) {
      fail_write(file, errno);
    }
  }
}

void sync(const FileDescriptor& open, const fs::path& file) {
  if (fsync(open.get()) != 0 && !cannot_sync(errno)) {
    fail_write(file, errno);
  }
}

void sync_folder(const fs::path& folder) {
  const FileDescriptor open(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!open.valid()) {
    fail_write(folder, errno);
  }
  sync(open, folder);
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    fail_run("cannot make the folder {}: {}{}", folder.string(), error.message(),
             advice(error.value()));
  }
  if (!fs::is_directory(folder, error)) {
    fail_run("cannot make the folder {}: something else has this name. Move it away",
             folder.string());
  }
}

void rename_path(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    fail_write(to, errno);
  }
}

fs::path temporary_path(const fs::path& folder) {
  static std::atomic<uint64_t> counter = 0;
  std::error_code ignored;
  fs::path path;
  do {  // a killed process with this process's number may have left names behind
    // Processes of several machines or containers share a folder, have the same numbers and count
    // alike.
    path = folder / fmt::format("{}{}-{:x}-{}{}", temporary_prefix, getpid(), random_bits(),
                                counter++, temporary_suffix);
  } while (fs::exists(fs::symlink_status(path, ignored)));
  return path;
}

bool is_temporary_name(std::string_view name) {
  return name.starts_with(temporary_prefix) && name.ends_with(temporary_suffix);
}

}  // namespace bissl::host
