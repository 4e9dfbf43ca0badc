#pragma once

#include "base/posix_file.h"
#include "weights/pickle.h"
#include "weights/zip_archive.h"

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace bissl::host {

/// A file of torch.save: a ZIP archive (since PyTorch 1.6), or the format before it, in which
/// pickles and storages follow one another. It comes from outside. Its pickle is read at once, the
/// numbers of a tensor when they are asked for: a checkpoint with its optimizer takes no more
/// memory than the weights that are wanted.
class TorchFile {
 public:
  /// Throws Error(input), whose text does not name the file.
  explicit TorchFile(const std::filesystem::path& file);

  bool is_zip() const { return archive_.has_value(); }
  const PickleTree& tree() const { return tree_; }

  /// Throws Error(input), with `name` in its text, unless the tensor lies within its storage and
  /// the storage is as long as the pickle says. Reads no numbers.
  void require_whole(const PickleTensor& tensor, const std::string& name) const;

  /// The tensor, dense and contiguous, its checksum compared where the file has one. Memory is
  /// taken for as many elements as its shape has: compare that first with what is wanted.
  at::Tensor read(const PickleTensor& tensor, const std::string& name) const;

 private:
  /// Where the bytes of a storage lie.
  struct Place {
    uint64_t begin = 0;
    uint64_t bytes = 0;
    std::optional<uint32_t> checksum;
  };
  void read_archive();
  void read_legacy();
  uint64_t read_legacy_head();
  void find_legacy_storages(uint64_t begin, const PickleTree& keys);
  Place place_of(const PickleStorage& storage, const std::string& name) const;

  std::filesystem::path file_;
  FileDescriptor open_;
  uint64_t size_;
  std::optional<ZipArchive> archive_;
  std::string folder_;                   ///< of the archive, with its slash
  std::map<std::string, Place> places_;  ///< of the storages of a legacy file, by key
  PickleTree tree_;
};

}  // namespace bissl::host
