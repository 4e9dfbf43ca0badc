#pragma once

#include "bissl/data_files.h"
#include "bissl/export.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace bissl {

/// Ability of a dataset of very many files, which DataFiles would name all at once: here the host
/// asks for one after the other and keeps none. It goes before DataFiles where a dataset has both.
class BISSL_API FileSequence {
 public:
  /// See bissl::capability.
  static constexpr std::string_view id = "bissl.dataset.file_sequence/1";

  virtual ~FileSequence();

  /// The number of files.
  virtual int64_t file_count() const = 0;
  /// The file at `place`, 0 … file_count() − 1. Names ascend in the order of their bytes, no two
  /// are the same; else as DataFiles::data_files. From several threads at once.
  virtual DataFile data_file(int64_t place) const = 0;
};

/// fingerprint_of_files of all of them, the same as of a list. Throws Error(ErrorKind::run) where
/// names do not ascend.
BISSL_API std::string fingerprint_of_sequence(
    const FileSequence& files, const std::function<std::string(const DataFile&)>& hash =
                                   [](const DataFile& file) { return hash_of_file(file.path); });

}  // namespace bissl
