#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace bissl {

/// A regular file that is read at any place, from several threads at once. Nothing of it is kept in
/// memory. It is read by pread and not mapped, so that a file that another process cuts short is an
/// error and no signal that ends the process.
class RandomAccessFile {
 public:
  /// Throws Error(ErrorKind::input) for what cannot be opened or is no regular file.
  explicit RandomAccessFile(std::filesystem::path path);
  ~RandomAccessFile();
  RandomAccessFile(const RandomAccessFile&) = delete;
  RandomAccessFile& operator=(const RandomAccessFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// In bytes, as it was when the file was opened.
  uint64_t size() const { return size_; }
  /// Of the last change, in nanoseconds since 1970, as it was when the file was opened.
  int64_t changed_ns() const { return changed_ns_; }

  /// Exactly `size` bytes from `offset` on. Throws Error(ErrorKind::input) if the file ends before.
  void read(uint64_t offset, void* target, size_t size) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  int64_t changed_ns_ = 0;
};

/// The content of a regular file of at most `most_bytes`.
/// Throws Error(ErrorKind::input) for another one.
std::string read_whole_file(const std::filesystem::path& path, uint64_t most_bytes);

}  // namespace bissl
