#include "report/escaping.h"

#include "bissl/hash.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

namespace bissl::host {
namespace {

constexpr const char* replacement = "\xef\xbf\xbd";  // U+FFFD

/// The text with bytes that are not UTF-8 replaced.
std::string valid_utf8(const std::string& text) {
  using Json = nlohmann::json;
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace))
      .get<std::string>();
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80;
}

/// Whether the whole text is a number such as "-0.1" or "1e-3".
bool is_number(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() &&
         std::isdigit(static_cast<unsigned char>(text.back())) != 0;
}

/// What LibreOffice, Excel and others take for the beginning of a formula, also behind blanks.
bool is_formula(const std::string& text) {
  if (text.empty() || is_number(text)) {
    return false;
  }
  if (text.front() == '\t' || text.front() == '\r' || text.front() == '\n') {
    return true;
  }
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string::npos &&
         std::string_view("=+-@").find(text[first]) != std::string_view::npos;
}

}  // namespace

std::string xml_text(const std::string& text) {
  const std::string valid = valid_utf8(text);
  std::string result;
  for (size_t i = 0; i < valid.size(); ++i) {
    const char c = valid[i];
    const std::string_view three = std::string_view(valid).substr(i, 3);
    if (three == "\xef\xbf\xbe" || three == "\xef\xbf\xbf") {  // U+FFFE, U+FFFF
      result += replacement;
      i += 2;
    } else if (c == '&') {
      result += "&amp;";
    } else if (c == '<') {
      result += "&lt;";
    } else if (c == '>') {
      result += "&gt;";
    } else if (c == '"') {
      result += "&quot;";
    } else if (c == '\'') {
      result += "&#39;";
    } else if (c == '\n' || c == '\t' || !is_control(c)) {
      result += c;
    } else {
      result += replacement;
    }
  }
  return result;
}

std::string markdown_text(const std::string& text) {
  constexpr std::string_view markup = "\\`*[]<>|&~#$!";
  const std::string valid = valid_utf8(text);
  std::string result;
  for (size_t i = 0; i < valid.size(); ++i) {
    const char c = valid[i];
    // Within a word an underscore is no emphasis, and most names have some.
    const bool marks_emphasis = c == '_' && (i == 0 || i + 1 == valid.size() ||
                                             !is_word(valid[i - 1]) || !is_word(valid[i + 1]));
    if (is_control(c)) {
      result += ' ';
    } else {
      result += marks_emphasis || markup.find(c) != std::string_view::npos ? "\\" : "";
      result += c;
    }
  }
  return result;
}

std::string csv_text(const std::string& text) {
  std::string cell = valid_utf8(text);
  for (char& c : cell) {
    c = is_control(c) && c != '\n' && c != '\r' && c != '\t' ? ' ' : c;
  }
  // Only now: a control character may become a blank before a formula.
  if (is_formula(cell)) {
    cell.insert(0, 1, '\'');
  }
  if (cell.find_first_of(",;\"\r\n\t") == std::string::npos) {
    return cell;
  }
  std::string quoted = "\"";
  for (const char c : cell) {
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  }
  return quoted + "\"";
}

std::string terminal_text(const std::string& text) {
  const std::string valid = valid_utf8(text);
  std::string result;
  for (size_t i = 0; i < valid.size(); ++i) {
    // U+0080 to U+009F, which many terminals obey as well: U+009B begins what ESC and "[" begin.
    const bool is_second_control =
        valid[i] == '\xc2' && i + 1 < valid.size() && static_cast<uint8_t>(valid[i + 1]) < 0xa0;
    i += is_second_control ? 1 : 0;
    result += is_second_control || is_control(valid[i]) ? ' ' : valid[i];
  }
  return result;
}

std::string file_name_part(const std::string& text) {
  constexpr size_t longest = 100;
  std::string name;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '.' || c == '_' || c == '-';
    name += plain ? c : '_';
  }
  if (name == text && name.size() <= longest) {
    return name;
  }
  return name.substr(0, longest) + "-" + hash_hex(text).substr(0, 8);
}

std::string base64_text(const std::string& bytes) {
  constexpr const char* letters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8U | (k < count ? static_cast<uint8_t>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += k <= count ? letters[group >> (18U - 6U * k) & 63U] : '=';
    }
  }
  return text;
}

}  // namespace bissl::host
