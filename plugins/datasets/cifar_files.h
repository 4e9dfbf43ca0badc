#pragma once

#include "memory_images.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bissl {

/// Which labels of CIFAR are wanted, by what they are called in each form of the files.
struct CifarLabels {
  std::string key;         ///< in a Python batch: "labels", "fine_labels", "coarse_labels"
  std::string names_key;   ///< in the Python file of names
  size_t label_bytes = 1;  ///< of a binary record, before its pixels
  size_t label_place = 0;  ///< the byte among those that is wanted
};

/// Where CIFAR's files of one split are.
struct CifarFiles {
  bool python = false;                         ///< pickles, not binary records
  std::vector<std::filesystem::path> batches;  ///< in their order
  std::filesystem::path names;                 ///< of the classes
};

/// Reads all batches. Throws Error(ErrorKind::input) for files that are not what they should be,
/// cut short, or have labels out of range; pickles are read by a reader that executes nothing.
ImageBlock read_cifar(const CifarFiles& files, const CifarLabels& labels);

}  // namespace bissl
