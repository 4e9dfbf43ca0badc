#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl {

/// The content of an IDX file of unsigned bytes: the format of MNIST and its kin.
struct IdxArray {
  std::vector<int64_t> dimensions;
  std::vector<uint8_t> bytes;  ///< the product of the dimensions, the last one varying fastest
};

/// Reads an IDX file with `dimensions` dimensions, compressed by gzip or not. `content` names what
/// should be in it, for errors ("images").
/// Throws Error(ErrorKind::input) if the file cannot be read, is of another kind, is cut short,
/// damaged, or has bytes after its end.
IdxArray read_idx(const std::filesystem::path& file, size_t dimensions, const std::string& content);

}  // namespace bissl
