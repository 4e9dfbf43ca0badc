#include "mat_numbers.h"

namespace bissl {

size_t mat_width_of(uint32_t type) {
  switch (type) {
    case mi_int8:
    case mi_uint8:
    case mi_utf8:
      return 1;
    case mi_int16:
    case mi_uint16:
    case mi_utf16:
      return 2;
    case mi_int32:
    case mi_uint32:
    case mi_single:
      return 4;
    case mi_double:
    case mi_int64:
    case mi_uint64:
      return 8;
    default:
      return 0;
  }
}

double mat_number_at(uint32_t type, const uint8_t* at) {
  switch (type) {
    case mi_int8:
      return little_endian<int8_t>(at);
    case mi_int16:
      return little_endian<int16_t>(at);
    case mi_uint16:
    case mi_utf16:
      return little_endian<uint16_t>(at);
    case mi_int32:
      return little_endian<int32_t>(at);
    case mi_uint32:
      return little_endian<uint32_t>(at);
    case mi_single:
      return static_cast<double>(little_endian<float>(at));
    case mi_double:
      return little_endian<double>(at);
    case mi_int64:
      return static_cast<double>(little_endian<int64_t>(at));
    case mi_uint64:
      return static_cast<double>(little_endian<uint64_t>(at));
    default:
      return *at;
  }
}

}  // namespace bissl
