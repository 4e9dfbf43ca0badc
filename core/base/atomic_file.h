#pragma once

#include "base/posix_file.h"

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace bissl::host {

/// Writes a whole file that appears under its name complete and durable, or not at all: the bytes
/// go to a temporary file in the same folder, which commit() renames. What was there before stays
/// until then. Every error is an Error(run) that names the file and the reason, and leaves no
/// temporary file.
class AtomicFile {
 public:
  /// The folder must exist. An existing file or symbolic link of that name will be replaced.
  explicit AtomicFile(std::filesystem::path file);
  /// Without a commit(), removes the temporary file.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Puts the file in place; nothing may be written after it.
  void commit();

 private:
  std::filesystem::path file_;
  std::filesystem::path temporary_;
  FileDescriptor open_;
};

/// The whole of it in one call.
void write_file_atomically(const std::filesystem::path& file, std::string_view content);

}  // namespace bissl::host
