#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bissl {

/// Types of stored data, by their numbers in the format's table.
enum MatType : uint32_t {
  mi_int8 = 1,
  mi_uint8 = 2,
  mi_int16 = 3,
  mi_uint16 = 4,
  mi_int32 = 5,
  mi_uint32 = 6,
  mi_single = 7,
  mi_double = 9,
  mi_int64 = 12,
  mi_uint64 = 13,
  mi_matrix = 14,
  mi_compressed = 15,
  mi_utf8 = 16,
  mi_utf16 = 17,
};

/// The value that these bytes of a file are, which need not be aligned.
template <class T>
T little_endian(const uint8_t* bytes) {
  static_assert(std::endian::native == std::endian::little);
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/// Bytes per number of a stored type; 0 for what is none.
size_t mat_width_of(uint32_t type);

/// The number at a place in the file, which is of a type that has a width.
double mat_number_at(uint32_t type, const uint8_t* at);

}  // namespace bissl
