#pragma once

#include "bissl/export.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace bissl {

/// One of the files that hold a dataset's content.
struct DataFile {
  std::string
      name;  ///< relative to the dataset's folder; part of the fingerprint, with its content
  /// Where the file is now; not part of it. Empty for a file that cannot be read, where the dataset
  /// has samples all the same: the fingerprint then has that in the place of a content.
  std::string path;
};

/// Ability of a dataset whose content is in files: it names them, and the host hashes them. The
/// host keeps the hashes (by path, size and time of the last change), so a large folder is read
/// whole once and opened in a moment from then on. Without it, the host calls Dataset::fingerprint
/// each time that it opens the data.
///
///     class Folder : public Dataset, public DataFiles {
///       void* capability(std::string_view id) override { return provide<DataFiles>(*this, id); }
///       std::vector<DataFile> data_files() const override { return files_; }
///       std::string fingerprint() const override { return fingerprint_of_files(files_); }
///       …
///     };
class BISSL_API DataFiles {
 public:
  /// See bissl::capability.
  static constexpr std::string_view id = "bissl.dataset.files/1";

  virtual ~DataFiles();

  /// All files from which anything of the samples, targets or their names is read, in any order; no
  /// two with one name. The same at each call. Files that say which others there are belong to
  /// them. What follows from the names alone (a class from its folder) needs no more, as names are
  /// part of the fingerprint. Dataset::fingerprint is then fingerprint_of_files of these.
  virtual std::vector<DataFile> data_files() const = 0;
};

/// The hash (Hasher::hex) of a file's content. Throws Error(ErrorKind::input) if it cannot be read.
BISSL_API std::string hash_of_file(const std::string& path);

/// The fingerprint of a dataset that consists of these files: equal for equal names and contents
/// wherever they are and in whatever order they are named. `hash` is called for the hash of each
/// content. Throws Error(ErrorKind::run) for a name that occurs twice.
BISSL_API std::string fingerprint_of_files(
    std::vector<DataFile> files, const std::function<std::string(const DataFile&)>& hash =
                                     [](const DataFile& file) { return hash_of_file(file.path); });

}  // namespace bissl
