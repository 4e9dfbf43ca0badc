#pragma once

#include <filesystem>
#include <string>

namespace bissl {

/// The two files of one split of a dataset laid out like MNIST.
struct IdxFiles {
  std::filesystem::path images;
  std::filesystem::path labels;
};

/// Finds the files of a split in `folder`, whose names begin with `prefix` ("train"), under the
/// names in use: train-images-idx3-ubyte with or without .gz, or train-images.idx3-ubyte. Throws
/// Error(ErrorKind::input) if one is missing; `advice` says where to get it.
IdxFiles find_idx_files(const std::filesystem::path& folder, const std::string& prefix,
                        const std::string& advice);

}  // namespace bissl
