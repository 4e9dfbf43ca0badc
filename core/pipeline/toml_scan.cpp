#include "pipeline/toml_scan.h"

#include <fmt/format.h>

namespace bissl::host {
namespace {

/// toml++ takes dotted keys of any length and then recurses over the tables that they make.
constexpr size_t most_key_parts = 32;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

bool is_ascii(char c) { return (c & 0x80) == 0; }

/// Walks TOML text as far as is needed to know what is outside comments and quotes.
class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) {
    if (text_.substr(0, byte_order_mark.size()) == byte_order_mark) {
      position_ = byte_order_mark.size();
    }
  }

  std::optional<TomlFault> find() {
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c == '#') {
        skip_comment();
      } else if (c == '"' || c == '\'') {
        skip_quoted(c);
        last_ = c;
      } else if (std::optional<TomlFault> fault = fault_at(c)) {
        return fault;
      } else {
        advance();
      }
    }
    return std::nullopt;
  }

 private:
  /// Of a character outside comments and quotes; counts the parts of its key.
  std::optional<TomlFault> fault_at(char c) {
    if (!is_ascii(c)) {
      return fault("not valid TOML: a character outside ASCII is outside quotes");
    }
    if (c == '.') {
      if (++dots_ >= most_key_parts) {
        return fault(fmt::format("a key with more than {} parts", most_key_parts));
      }
    } else if (!is_between_dots(c)) {
      dots_ = 0;
    }
    if (c == '}' && (last_ == '[' || last_ == ',')) {
      return fault("not valid TOML: found '}' where a value is expected");
    }
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
      last_ = c;
    }
    return std::nullopt;
  }

  TomlFault fault(std::string text) const {
    return {line_, static_cast<int>(position_ - line_start_) + 1, std::move(text)};
  }

  // Whatever can stand between two dots of one key.
  static bool is_between_dots(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == ' ' || c == '\t';
  }

  char at(size_t position) const { return position < text_.size() ? text_[position] : '\0'; }

  void advance() {
    if (text_[position_++] == '\n') {
      ++line_;
      line_start_ = position_;
    }
  }

  void skip_comment() {
    while (position_ < text_.size() && text_[position_] != '\n') {
      ++position_;
    }
  }

  void skip_quoted(char quote) {
    const std::string_view triple = quote == '"' ? "\"\"\"" : "'''";
    const bool multiline = text_.substr(position_, 3) == triple;
    position_ += multiline ? 3 : 1;
    while (position_ < text_.size()) {
      if (quote == '"' && text_[position_] == '\\' && position_ + 1 < text_.size()) {
        advance();
        advance();
      } else if (multiline ? text_.substr(position_, 3) == triple : text_[position_] == quote) {
        position_ += multiline ? 3 : 1;
        // Up to two quotes of the content may stand directly before the closing three.
        for (int more = 0; multiline && more < 2 && at(position_) == quote; ++more) {
          ++position_;
        }
        return;
      } else if (!multiline && text_[position_] == '\n') {
        return;  // unterminated, which the parser will say
      } else {
        advance();
      }
    }
  }

  std::string_view text_;
  size_t position_ = 0;
  size_t line_start_ = 0;
  int line_ = 1;
  size_t dots_ = 0;
  /// The last character that is neither blank nor in a comment; of a quoted text its quote.
  char last_ = '\0';
};

}  // namespace

std::optional<TomlFault> find_unparsable(std::string_view text) { return Scan(text).find(); }

}  // namespace bissl::host
