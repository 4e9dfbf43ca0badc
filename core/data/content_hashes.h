#pragma once

#include "bissl/data_files.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {

/// The folder `name` of this program in $XDG_CACHE_HOME, else in ~/.cache; empty, for nowhere, if
/// the environment names neither.
std::filesystem::path cache_folder(const std::string& name);

/// Where hashes of data are kept: bissl/content-hashes in $XDG_CACHE_HOME, else in ~/.cache; empty,
/// for nowhere, if the environment names neither.
std::filesystem::path content_hash_folder();

/// Hashes of files' contents, kept from one process to the next by path, size and time of the last
/// change. There is a file for each folder of data, and any of them may be removed.
///
/// A file that changed within the last two seconds is hashed again by the next process, since a
/// further change in the same tick of the clock would not show. Several processes may share the
/// folder: each writes whole files under their final names, and what one of them loses by that is
/// hashed again. What cannot be kept is no error.
class ContentHashes {
 public:
  /// Keeps nothing if `folder` is empty. `again`: believes nothing that was kept before.
  explicit ContentHashes(std::filesystem::path folder = content_hash_folder(), bool again = false)
      : folder_(std::move(folder)), again_(again) {}

  /// fingerprint_of_files, which reads only the files that are new or changed. Throws Error(input)
  /// for a file that cannot be read. From several threads at once.
  std::string fingerprint(const std::vector<DataFile>& files);

 private:
  /// What is known of a file.
  struct Known {
    uint64_t size = 0;
    int64_t changed_ns = 0;
    std::string hash;
  };
  using Record = std::map<std::string, Known>;  ///< by path

  std::filesystem::path record_file(const std::filesystem::path& data) const;
  static Record read(const std::filesystem::path& file);
  static void write(const std::filesystem::path& file, const Record& own);

  std::filesystem::path folder_;
  bool again_;
};

}  // namespace bissl::host
