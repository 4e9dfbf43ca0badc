#pragma once

#include "bissl/file_sequence.h"

#include <cstdint>
#include <filesystem>
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
  std::string fingerprint(const std::vector<DataFile>& files) const;
  /// The same of files that are asked for one by one. Takes about as much memory as the file of
  /// hashes, twice while a new one is written: some 100 bytes and the length of the path for each.
  std::string fingerprint(const FileSequence& files) const;

 private:
  std::filesystem::path record_file(const std::string& data) const;

  std::filesystem::path folder_;
  bool again_;
};

}  // namespace bissl::host
