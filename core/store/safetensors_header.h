#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bissl::host {

/// One tensor of a safetensors header. Its bytes are [begin, end) of what follows the header.
struct SafetensorsEntry {
  std::string name;
  c10::ScalarType type = c10::ScalarType::Undefined;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in the order of the text
  std::map<std::string, std::string> metadata;
};

/// The published library's limit.
inline constexpr uint64_t max_safetensors_header = 100'000'000;

/// The format's name of an element type ("F32"); nullptr for those that it lacks.
const char* safetensors_name(c10::ScalarType type);

/// A name out of a file, quoted and fit for an error text: control characters escaped, not too
/// long.
std::string shown_name(const std::string& name);

/// The header as JSON, padded with spaces so that with the 8 bytes of its length before it the data
/// starts at a multiple of 8. Throws Error(run) for text that is not UTF-8.
std::string format_safetensors_header(const SafetensorsHeader& header);

/// Reads the header of a file with `data_size` bytes of data and checks that its entries are whole:
/// each range fits type and shape, together they cover the data once without gaps. Throws
/// Error(input) whose text says what is wrong, without the file.
SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t data_size);

}  // namespace bissl::host
