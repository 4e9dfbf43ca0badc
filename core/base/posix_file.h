#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace bissl::host {

/// Owns an open file descriptor; -1 is none.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release();
  /// Closes it, if it is open; false with errno set when the system reports an error.
  bool close();

 private:
  int fd_ = -1;
};

/// Throws Error(run): "cannot write FILE: reason" for an errno value, with what to do about it.
[[noreturn]] void fail_write(const std::filesystem::path& file, int error);
/// Throws Error(input): "cannot read FILE: reason"; Error(run) where a limit of the process is it.
[[noreturn]] void fail_read(const std::filesystem::path& file, int error);

/// Opens a regular file; anything else (missing, a folder, a pipe) is Error(input). Never blocks.
FileDescriptor open_for_reading(const std::filesystem::path& file);

/// The size in bytes of an open file; `file` is for the error text.
uint64_t size_of(const FileDescriptor& open, const std::filesystem::path& file);

/// Reads up to `size` bytes at `offset`; fewer only at the end of the file. Returns their number.
size_t read_at(const FileDescriptor& open, void* data, size_t size, uint64_t offset,
               const std::filesystem::path& file);

/// The whole content; Error(input) when the file cannot be read or has more than `limit` bytes.
std::string read_whole(const std::filesystem::path& file, uint64_t limit);

/// Writes all bytes at the file's position, however many calls it takes; else Error(run).
void write_all(const FileDescriptor& open, const void* data, size_t size,
               const std::filesystem::path& file);

/// Makes the content of an open file durable; file systems that cannot are tolerated.
void sync(const FileDescriptor& open, const std::filesystem::path& file);
/// Makes the names in a folder durable.
void sync_folder(const std::filesystem::path& folder);

/// Whether something has this name, a symbolic link that leads nowhere included.
bool is_there(const std::filesystem::path& path);

/// Makes a folder with its parents; Error(run) when that fails or something else has its name.
void make_folder(const std::filesystem::path& folder);

/// rename(2); Error(run) names the target. Replaces an existing file or symbolic link.
void rename_path(const std::filesystem::path& from, const std::filesystem::path& to);

/// A name for a temporary file in `folder` that nothing there has at the moment. Names of this kind
/// that a killed process left behind are found by is_temporary_name.
std::filesystem::path temporary_path(const std::filesystem::path& folder);
bool is_temporary_name(std::string_view name);

}  // namespace bissl::host
