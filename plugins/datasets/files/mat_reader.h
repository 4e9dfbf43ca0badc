#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace bissl {

/// What an array of a MAT-file holds.
enum class MatKind {
  numbers,    ///< of any type: `numbers`, or `bytes` where they are stored as unsigned bytes
  text,       ///< characters: `text`, UTF-8; the rows of a matrix one after the other by columns
  cell,       ///< `parts`
  structure,  ///< `fields`, and for each element all of them in `parts`
  other,      ///< objects, functions, sparse matrices: passed over
};

/// An array of a MAT-file. Elements lie by columns: the first dimension varies fastest.
struct MatArray {
  MatKind kind = MatKind::other;
  std::vector<int64_t> dimensions;
  std::vector<double> numbers;
  std::vector<uint8_t> bytes;
  std::string text;
  std::vector<std::string> fields;
  std::vector<MatArray> parts;

  /// The product of the dimensions.
  int64_t size() const;
  /// Number `index` of numbers, from whichever of the two they are in.
  double number(int64_t index) const {
    const auto at = static_cast<size_t>(index);
    return bytes.empty() ? numbers[at] : static_cast<double>(bytes[at]);
  }
  /// A field of an element of a structure; null if there is no such field.
  const MatArray* field(int64_t element, const std::string& name) const;
};

/// Variables by their names.
using MatVariables = std::map<std::string, MatArray>;

/// The variables of these names in a MAT-file of level 5 (MATLAB's formats v6 and v7, what
/// scipy.io.savemat writes), little-endian, compressed or not; those that are not there are not in
/// the result. Throws Error(ErrorKind::input) for another format (v7.3 is HDF5), a file that is cut
/// short or damaged, sizes that the file cannot have, arrays nested more than 8 deep, more than a
/// million arrays, more than 4 million numbers that are not unsigned bytes, and content of more
/// than `most_bytes` after decompression.
MatVariables read_mat(const std::filesystem::path& file, const std::set<std::string>& names,
                      uint64_t most_bytes = uint64_t{256} << 20);

/// The whole numbers of a variable. Throws Error(ErrorKind::input) if there is no variable of that
/// name or it has anything else; `file` is for the text.
std::vector<int64_t> mat_integers(const std::filesystem::path& file, const MatVariables& variables,
                                  const std::string& name);

}  // namespace bissl
