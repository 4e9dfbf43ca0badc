#pragma once

#include "base/posix_file.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {

/// One record of a ZIP archive.
struct ZipRecord {
  uint64_t header = 0;    ///< where its local header begins in the file
  uint64_t begin = 0;     ///< where its bytes begin
  uint64_t size = 0;      ///< as they lie there
  uint32_t checksum = 0;  ///< CRC-32 of its bytes
  bool compressed = false;
};

/// The records of a ZIP archive that PyTorch wrote: stored, with ZIP64 where sizes ask for it. What
/// is compressed (the program of a TorchScript module) can be seen and not read. The file
/// comes from outside: every number in it is compared with the file's size, and records that
/// overlap are refused.
class ZipArchive {
 public:
  /// Whether the file begins as a ZIP archive does.
  static bool is_one(const FileDescriptor& open, const std::filesystem::path& file);

  /// Reads the directory of an open file, which must outlive the object. Throws Error(input), whose
  /// text does not name the file.
  ZipArchive(const FileDescriptor& open, const std::filesystem::path& file);

  const std::map<std::string, ZipRecord>& records() const { return records_; }
  /// Null if there is none of that name.
  const ZipRecord* find(const std::string& name) const;
  /// Throws Error(input) for a record that is compressed.
  static void require_stored(const std::string& name, const ZipRecord& record);

  /// The whole content of a record, its checksum compared. Error(input) if it is compressed or has
  /// more than `limit` bytes.
  std::string read(const std::string& name, uint64_t limit) const;

 private:
  struct Directory {
    uint64_t begin = 0;
    uint64_t size = 0;
    uint64_t records = 0;
  };
  Directory find_directory() const;
  Directory read_zip64(uint64_t locator) const;
  void read_directory(const Directory& directory);
  void find_content(const std::string& name, ZipRecord& record, uint64_t end) const;
  void refuse_overlaps() const;
  std::string bytes(uint64_t begin, uint64_t size, const char* what) const;

  const FileDescriptor& open_;
  std::filesystem::path file_;
  uint64_t file_size_;
  std::map<std::string, ZipRecord> records_;
};

}  // namespace bissl::host
