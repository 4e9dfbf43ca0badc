#pragma once

#include "bissl/error.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace bissl::host {

static_assert(std::endian::native == std::endian::little,
              "numbers in these files are little-endian, and are read as they lie in memory");

/// Takes numbers and texts from the front of bytes from outside. Throws Error(input)
/// with `what` in its text where they end too soon.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes, const char* what) : bytes_(bytes), what_(what) {}

  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  /// The next `size` bytes.
  std::string_view take(uint64_t size) {
    if (size > left()) {
      fail_input("{} ends at its byte {}, where {} more should follow; it has been cut short",
                 what_, bytes_.size(), size - left());
    }
    const std::string_view part = bytes_.substr(position_, size);
    position_ += size;
    return part;
  }

  /// A little-endian number, or a float of that width.
  template <class Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof(value)).data(), sizeof(value));
    return value;
  }

  /// The bytes before the next line feed, which is taken, too.
  std::string_view line() {
    const size_t end = bytes_.find('\n', position_);
    if (end == std::string_view::npos) {
      fail_input("{} ends within a line; it has been cut short", what_);
    }
    const std::string_view text = take(end - position_);
    take(1);
    return text;
  }

 private:
  std::string_view bytes_;
  const char* what_;
  size_t position_ = 0;
};

}  // namespace bissl::host
