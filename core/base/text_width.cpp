#include "base/text_width.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace bissl::host {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

constexpr Range zero_width[] = {
    {0x0000, 0x001F}, {0x007F, 0x009F}, {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD},
    {0x064B, 0x065F}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x20D0, 0x20FF},
    {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF},
};

/// The blocks of Unicode's East_Asian_Width property W and F, without the holes in them.
constexpr Range double_width[] = {
    {0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0x33FF},   {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF},   {0xA000, 0xA4CF},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
    {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
    {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD},
};

template <size_t count>
bool holds(const Range (&ranges)[count], uint32_t code) {
  return std::any_of(std::begin(ranges), std::end(ranges), [code](const Range& range) {
    return range.first <= code && code <= range.last;
  });
}

struct Character {
  size_t bytes;
  size_t columns;
};

/// The first character of a text that is not empty. What is not UTF-8 counts byte by byte.
Character first_of(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  const size_t length = lead < 0x80             ? 1
                        : (lead & 0xE0) == 0xC0 ? 2
                        : (lead & 0xF0) == 0xE0 ? 3
                        : (lead & 0xF8) == 0xF0 ? 4
                                                : 0;
  if (length == 0 || length > text.size()) {
    return {1, 1};
  }
  uint32_t code = length == 1 ? lead : lead & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) {
      return {1, 1};
    }
    code = code << 6 | (byte(i) & 0x3F);
  }
  return {length, holds(zero_width, code) ? size_t{0} : holds(double_width, code) ? 2u : 1u};
}

}  // namespace

size_t display_width(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const Character character = first_of(text);
    columns += character.columns;
    text.remove_prefix(character.bytes);
  }
  return columns;
}

std::string truncate_to_width(std::string_view text, size_t columns) {
  if (display_width(text) <= columns) {
    return std::string(text);
  }
  if (columns == 0) {
    return "";
  }
  size_t used = 0;
  size_t end = 0;
  while (end < text.size()) {
    const Character character = first_of(text.substr(end));
    if (used + character.columns > columns - 1) {
      break;
    }
    used += character.columns;
    end += character.bytes;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace bissl::host
