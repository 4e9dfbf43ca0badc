#pragma once

#include "bissl/error.h"

#include <cstdint>
#include <string_view>

namespace bissl {

/// Little-endian numbers of a file, with the file's end watched.
class ByteReader {
 public:
  /// `format` names the file's, for errors.
  ByteReader(std::string_view bytes, const char* format) : bytes_(bytes), format_(format) {}

  size_t size() const { return bytes_.size(); }

  /// `size` bytes from `at` on. Throws Error(ErrorKind::input) beyond the end.
  std::string_view bytes(size_t at, size_t size, const char* what) const {
    if (at > bytes_.size() || size > bytes_.size() - at) {
      fail_input("{}: is cut short: ends after {} bytes, within {}", format_, bytes_.size(), what);
    }
    return bytes_.substr(at, size);
  }

  uint32_t number(size_t at, size_t size, const char* what) const {
    const std::string_view found = bytes(at, size, what);
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value |= static_cast<uint32_t>(static_cast<uint8_t>(found[i])) << (8 * i);
    }
    return value;
  }

 private:
  std::string_view bytes_;
  const char* format_;
};

}  // namespace bissl
