#include "mat_reader.h"

#include "file_access.h"
#include "inflate.h"
#include "mat_numbers.h"

#include "bissl/error.h"

#include <cmath>
#include <limits>
#include <span>
#include <string_view>

namespace bissl {
namespace {

constexpr size_t header_size = 128;
constexpr int deepest = 8;
constexpr size_t most_arrays = 1'000'000;
constexpr size_t most_dimensions = 32;
/// Of numbers that are not unsigned bytes: each takes 8 bytes of memory, and may be one of a file.
constexpr size_t most_numbers = size_t{1} << 22;

/// Classes of arrays.
enum MatClass : uint32_t {
  mx_cell = 1,
  mx_struct = 2,
  mx_char = 4,
  mx_double = 6,
  mx_uint64 = 15,
};

void append_utf8(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0 | code >> 6);
    text += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code >= 0xD800 && code < 0xE000) {
    text += "\xEF\xBF\xBD";  // half of a pair: no name of a class needs one
  } else {
    text += static_cast<char>(0xE0 | code >> 12);
    text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (code & 0x3F));
  }
}

/// A tag with its data.
struct Element {
  uint32_t type = 0;
  std::span<const uint8_t> data;
};

/// What has been read of a file so far.
struct MatCounts {
  size_t arrays = 0;
  size_t numbers = 0;  ///< that are not unsigned bytes
};

/// Reads elements one after the other from a part of the content.
class MatScanner {
 public:
  MatScanner(std::span<const uint8_t> data, const std::string& file, MatCounts& counts)
      : data_(data), file_(file), counts_(counts) {}

  bool at_end() const { return at_ >= data_.size(); }

  [[noreturn]] void fail(const std::string& reason) const {
    fail_input("{}: cannot be read as a MAT-file: {} (at byte {} of {})", file_, reason, at_,
               data_.size());
  }

  Element next() {
    if (data_.size() - at_ < 8) {
      fail("it ends within a tag");
    }
    const auto first = little_endian<uint32_t>(data_.data() + at_);
    if (first >> 16 != 0) {
      return next_small(first);
    }
    const auto size = little_endian<uint32_t>(data_.data() + at_ + 4);
    if (size > data_.size() - at_ - 8) {
      fail(fmt::format("a tag announces {} bytes, more than there are", size));
    }
    const Element element{first, data_.subspan(at_ + 8, size)};
    at_ += 8 + size_t{size};
    // Compressed data is not padded; the padding of the last element may be missing.
    if (first != mi_compressed) {
      at_ = std::min(data_.size(), (at_ + 7) / 8 * 8);
    }
    return element;
  }

  /// A matrix with all that is in it. `name` becomes its own; where `wanted` does not hold for
  /// that, the rest is passed over.
  template <class Wanted>
  MatArray array(const Element& element, int depth, std::string& name, Wanted wanted) const;

 private:
  Element next_small(uint32_t first) {
    const uint32_t size = first >> 16;
    if (size > 4) {
      fail(fmt::format("a small element announces {} bytes; at most 4 fit", size));
    }
    const Element element{first & 0xFFFF, data_.subspan(at_ + 4, size)};
    at_ += 8;
    return element;
  }

  Element next_of(uint32_t type, const char* what) {
    const Element element = next();
    if (element.type != type) {
      fail(fmt::format("data of type {} found in the place of {}", element.type, what));
    }
    return element;
  }

  std::vector<int64_t> read_dimensions();
  void read_numbers(MatArray& array);
  void read_text(MatArray& array);
  void read_parts(MatArray& array, size_t count, int depth);
  void read_structure(MatArray& array, int depth);

  std::span<const uint8_t> data_;
  const std::string& file_;
  MatCounts& counts_;
  size_t at_ = 0;
};

std::vector<int64_t> MatScanner::read_dimensions() {
  const Element element = next_of(mi_int32, "dimensions");
  const size_t count = element.data.size() / 4;
  if (count < 2 || count > most_dimensions) {
    fail(fmt::format("an array has {} dimensions", count));
  }
  std::vector<int64_t> dimensions;
  int64_t product = 1;
  for (size_t i = 0; i < count; ++i) {
    const auto dimension = little_endian<int32_t>(element.data.data() + 4 * i);
    if (dimension < 0) {
      fail("a dimension is negative");
    }
    if (dimension > 0 && product > std::numeric_limits<int64_t>::max() / dimension) {
      fail("an array is larger than a file can be");
    }
    product *= dimension;
    dimensions.push_back(dimension);
  }
  return dimensions;
}

void MatScanner::read_numbers(MatArray& array) {
  array.kind = MatKind::numbers;
  const auto expected = static_cast<uint64_t>(array.size());
  const Element element = next();
  const size_t width = mat_width_of(element.type);
  if (width == 0 || element.data.size() / width != expected) {
    fail(fmt::format("an array of {} numbers has {} bytes of type {}", expected,
                     element.data.size(), element.type));
  }
  if (element.type == mi_uint8) {
    array.bytes.assign(element.data.begin(), element.data.end());
    return;
  }
  counts_.numbers += expected;
  if (counts_.numbers > most_numbers) {
    fail(fmt::format("it has more than {} numbers that are not unsigned bytes", most_numbers));
  }
  array.numbers.reserve(expected);
  for (size_t i = 0; i < expected; ++i) {
    array.numbers.push_back(mat_number_at(element.type, element.data.data() + i * width));
  }
}

void MatScanner::read_text(MatArray& array) {
  array.kind = MatKind::text;
  if (array.size() == 0 && at_end()) {
    return;
  }
  const Element element = next();
  const size_t width = mat_width_of(element.type);
  if (width != 1 && width != 2) {
    fail(fmt::format("characters are of type {}", element.type));
  }
  if (element.type == mi_utf8) {
    array.text.assign(element.data.begin(), element.data.end());
    return;
  }
  for (size_t at = 0; at + width <= element.data.size(); at += width) {
    append_utf8(array.text, static_cast<uint16_t>(mat_number_at(element.type, &element.data[at])));
  }
}

void MatScanner::read_parts(MatArray& array, size_t count, int depth) {
  for (size_t i = 0; i < count; ++i) {
    const Element element = next_of(mi_matrix, "an array");
    std::string name;
    array.parts.push_back(
        this->array(element, depth + 1, name, [](const std::string&) { return true; }));
  }
}

void MatScanner::read_structure(MatArray& array, int depth) {
  array.kind = MatKind::structure;
  const Element length = next_of(mi_int32, "the length of field names");
  const Element names = next_of(mi_int8, "field names");
  const int32_t each = length.data.size() == 4 ? little_endian<int32_t>(length.data.data()) : 0;
  if (each < 1 || names.data.size() % static_cast<size_t>(each) != 0) {
    fail("field names have no length that fits");
  }
  const std::string_view all(reinterpret_cast<const char*>(names.data.data()), names.data.size());
  for (size_t at = 0; at < all.size(); at += static_cast<size_t>(each)) {
    const std::string_view name = all.substr(at, static_cast<size_t>(each));
    array.fields.emplace_back(name.substr(0, name.find('\0')));
  }
  const auto elements = static_cast<uint64_t>(array.size());
  if (!array.fields.empty() && elements > data_.size() / array.fields.size()) {
    fail(fmt::format("a structure claims {} elements, more than there are bytes", elements));
  }
  read_parts(array, elements * array.fields.size(), depth);
}

template <class Wanted>
MatArray MatScanner::array(const Element& element, int depth, std::string& name,
                           Wanted wanted) const {
  MatArray array;
  if (++counts_.arrays > most_arrays) {
    fail(fmt::format("it has more than {} arrays", most_arrays));
  }
  if (depth > deepest) {
    fail(fmt::format("arrays are nested more than {} deep", deepest));
  }
  if (element.data.empty()) {
    array.dimensions = {0, 0};
    return array;
  }
  MatScanner inner(element.data, file_, counts_);
  const Element flags = inner.next_of(mi_uint32, "array flags");
  if (flags.data.size() != 8) {
    inner.fail("array flags are not 8 bytes");
  }
  const uint32_t type = little_endian<uint32_t>(flags.data.data()) & 0xFF;
  array.dimensions = inner.read_dimensions();
  const Element text = inner.next_of(mi_int8, "the name of an array");
  name.assign(text.data.begin(), text.data.end());
  if (!wanted(name)) {
    return array;
  }
  if (type == mx_cell) {
    array.kind = MatKind::cell;
    if (static_cast<uint64_t>(array.size()) > element.data.size()) {
      inner.fail(fmt::format("a cell array claims {} parts, more than it has bytes", array.size()));
    }
    inner.read_parts(array, static_cast<size_t>(array.size()), depth);
  } else if (type == mx_struct) {
    inner.read_structure(array, depth);
  } else if (type == mx_char) {
    inner.read_text(array);
  } else if (type >= mx_double && type <= mx_uint64) {
    inner.read_numbers(array);
  }
  return array;
}

void check_header(const std::string& content, const std::string& file) {
  if (content.size() >= 8 && content.compare(0, 8, "\x89HDF\r\n\x1A\n") == 0) {
    fail_input("{}: is an HDF5 file; expected a MAT-file of MATLAB's format v7 or v6", file);
  }
  if (content.starts_with("MATLAB 7.3")) {
    fail_input(
        "{}: is a MAT-file of MATLAB's format v7.3, which is HDF5; expected v7 or v6: save "
        "it anew with save(…, '-v7')",
        file);
  }
  if (content.size() < header_size) {
    fail_input("{}: ends after {} bytes, within the header of a MAT-file", file, content.size());
  }
  const std::string_view order(content.data() + 126, 2);
  if (order == "MI") {
    fail_input("{}: is a MAT-file of a big-endian machine; expected a little-endian one", file);
  }
  if (order != "IM" || content[125] != 1) {
    fail_input("{}: is no MAT-file: expected the version and byte order 0x0100 \"IM\" at byte 124",
               file);
  }
}

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

int64_t MatArray::size() const {
  int64_t product = 1;
  for (const int64_t dimension : dimensions) {
    product *= dimension;
  }
  return product;
}

const MatArray* MatArray::field(int64_t element, const std::string& name) const {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i] == name) {
      return &parts[static_cast<size_t>(element) * fields.size() + i];
    }
  }
  return nullptr;
}

MatVariables read_mat(const std::filesystem::path& path, const std::set<std::string>& names,
                      uint64_t most_bytes) {
  const std::string content = read_whole_file(path, most_bytes);
  const std::string file = path.string();
  check_header(content, file);
  MatVariables variables;
  MatCounts counts;
  uint64_t inflated = 0;
  MatScanner top(bytes_of(content).subspan(header_size), file, counts);
  while (!top.at_end()) {
    Element element = top.next();
    std::string unpacked;
    if (element.type == mi_compressed) {
      unpacked = inflate_zlib(element.data, most_bytes - inflated, file);
      inflated += unpacked.size();
      element = MatScanner(bytes_of(unpacked), file, counts).next();
    }
    if (element.type != mi_matrix) {
      continue;
    }
    std::string name;
    MatArray array = top.array(
        element, 0, name, [&](const std::string& variable) { return names.contains(variable); });
    if (names.contains(name)) {
      variables[name] = std::move(array);
    }
  }
  return variables;
}

std::vector<int64_t> mat_integers(const std::filesystem::path& file, const MatVariables& variables,
                                  const std::string& name) {
  const auto found = variables.find(name);
  if (found == variables.end()) {
    fail_input("{}: has no variable \"{}\"", file.string(), name);
  }
  const MatArray& array = found->second;
  if (array.kind != MatKind::numbers) {
    fail_input("{}: its variable \"{}\" holds no numbers", file.string(), name);
  }
  std::vector<int64_t> integers;
  for (int64_t i = 0; i < array.size(); ++i) {
    const double number = array.number(i);
    if (std::floor(number) != number || std::abs(number) > 1e15) {
      fail_input("{}: entry {} of its variable \"{}\" is {}; expected a whole number",
                 file.string(), i, name, number);
    }
    integers.push_back(static_cast<int64_t>(number));
  }
  return integers;
}

}  // namespace bissl
