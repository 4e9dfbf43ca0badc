#include "pipeline/toml_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <tuple>

// Values nested deeper than any pipeline's; bounds the parser's recursion and ours.
#define TOML_MAX_NESTED_VALUES 32
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace bissl::host {
namespace {

/// toml++ takes dotted keys of any length and then recurses over the tables that they make.
constexpr size_t most_key_parts = 32;

struct Fault {
  int line;
  int column;
};

/// Walks TOML text as far as is needed to know which dots separate the parts of keys.
class DotCounter {
 public:
  explicit DotCounter(std::string_view text) : text_(text) {}

  /// Where a key gets too many parts.
  std::optional<Fault> find() {
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c == '#') {
        skip_comment();
      } else if (c == '"' || c == '\'') {
        skip_quoted(c);
      } else if (c == '.') {
        if (++dots_ >= most_key_parts) {
          return Fault{line_, static_cast<int>(position_ - line_start_) + 1};
        }
        ++position_;
      } else {
        if (!is_key_character(c)) {
          dots_ = 0;
        }
        advance();
      }
    }
    return std::nullopt;
  }

 private:
  // Whatever can stand between two dots of one key.
  static bool is_key_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == ' ' || c == '\t' || (c & 0x80) != 0;
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
};

/// Turns toml++'s nodes into ours.
class Converter {
 public:
  /// Positions in `file`, or, if its line is 0, that place itself for everything.
  explicit Converter(Location place) : place_(std::move(place)) {}

  ConfigNode convert(const toml::node& node) const {
    ConfigNode result;
    result.at = location(node.source());
    switch (node.type()) {
      case toml::node_type::table:
        result.type = ConfigNode::Type::table;
        result.entries = entries(*node.as_table());
        break;
      case toml::node_type::array:
        result.type = ConfigNode::Type::array;
        for (const toml::node& item : *node.as_array()) {
          result.items.push_back(convert(item));
        }
        break;
      case toml::node_type::boolean:
        result.type = ConfigNode::Type::boolean;
        result.scalar = node.as_boolean()->get();
        break;
      case toml::node_type::integer:
        result.type = ConfigNode::Type::integer;
        result.scalar = node.as_integer()->get();
        break;
      case toml::node_type::floating_point:
        result.type = ConfigNode::Type::real;
        result.scalar = node.as_floating_point()->get();
        break;
      case toml::node_type::string:
        result.type = ConfigNode::Type::text;
        result.scalar = node.as_string()->get();
        break;
      default:
        result.type = ConfigNode::Type::date;
    }
    return result;
  }

 private:
  /// toml++ sorts by name; the order of the file is that of the keys' places.
  std::vector<ConfigEntry> entries(const toml::table& table) const {
    std::vector<std::pair<Location, ConfigEntry>> placed;
    for (const auto& [key, value] : table) {
      const toml::source_region& source = key.source();
      placed.push_back(
          {Location{"", static_cast<int>(source.begin.line), static_cast<int>(source.begin.column)},
           ConfigEntry{std::string(key.str()), location(source), convert(value)}});
    }
    std::stable_sort(placed.begin(), placed.end(),
                     [](const auto& left, const auto& right) { return left.first < right.first; });
    std::vector<ConfigEntry> result;
    result.reserve(placed.size());
    for (auto& [place, entry] : placed) {
      result.push_back(std::move(entry));
    }
    return result;
  }

  Location location(const toml::source_region& source) const {
    if (place_.line == 0) {
      return place_;
    }
    return {place_.file, static_cast<int>(source.begin.line),
            static_cast<int>(source.begin.column)};
  }

  Location place_;
};

/// The parser's words, but for numbers that are too large, which it calls invalid.
std::string fault_text(std::string_view description) {
  const auto number_before = [&](std::string_view words) -> std::string_view {
    const size_t stop = description.find(words);
    const size_t start =
        stop == std::string_view::npos || stop == 0 ? stop : description.rfind('\'', stop - 1);
    return start == std::string_view::npos || stop == 0
               ? std::string_view()
               : description.substr(start + 1, stop - start - 1);
  };
  const bool integer = description.find("integer") != std::string_view::npos;
  if (const auto number = number_before("' is not representable in 64 bits"); !number.empty()) {
    return fmt::format("{} is beyond the {} of 64 bits", number, integer ? "integers" : "floats");
  }
  if (const auto number = number_before("' could not be interpreted as a value");
      !number.empty() && description.find("floating-point") != std::string_view::npos) {
    return fmt::format("{} is beyond the floats of 64 bits", number);
  }
  return fmt::format("not valid TOML: {}", description);
}

/// The text's table, or nothing if it is not TOML.
std::optional<toml::table> parse_quietly(const std::string& text) {
  if (DotCounter(text).find()) {
    return std::nullopt;
  }
  toml::parse_result result = toml::parse(text);
  if (!result) {
    return std::nullopt;
  }
  return std::move(result).table();
}

}  // namespace

std::optional<ConfigNode> parse_toml(const std::string& text, const std::string& file,
                                     DiagnosticCollector& diagnostics) {
  if (const std::optional<Fault> fault = DotCounter(text).find()) {
    diagnostics.error({file, fault->line, fault->column}, "",
                      fmt::format("a key with more than {} parts", most_key_parts));
    return std::nullopt;
  }
  toml::parse_result result = toml::parse(text);
  if (!result) {
    const toml::parse_error& error = result.error();
    const auto& begin = error.source().begin;
    diagnostics.error({file, static_cast<int>(begin.line), static_cast<int>(begin.column)}, "",
                      fault_text(error.description()));
    return std::nullopt;
  }
  ConfigNode root = Converter({file, 1, 1}).convert(result.table());
  root.at = {file, 1, 1};
  return root;
}

std::optional<ConfigNode> parse_toml_value(const std::string& text, const Location& at) {
  const std::optional<toml::table> table = parse_quietly("value = " + text + "\n");
  // A line feed in the text could add keys of its own.
  if (!table || table->size() != 1 || text.find('\n') != std::string::npos) {
    return std::nullopt;
  }
  return Converter({at.file, 0, 0}).convert(table->begin()->second);
}

std::string toml_value_fault(const std::string& text) {
  if (text.find('\n') != std::string::npos || DotCounter(text).find()) {
    return "not one value of TOML";
  }
  const toml::parse_result result = toml::parse("value = " + text + "\n");
  return result ? "not one value of TOML" : fault_text(result.error().description());
}

std::vector<std::string> parse_toml_key(const std::string& text) {
  const std::optional<toml::table> table =
      text.find('\n') == std::string::npos ? parse_quietly(text + " = 0\n") : std::nullopt;
  std::vector<std::string> parts;
  const toml::table* level = table ? &*table : nullptr;
  while (level != nullptr && level->size() == 1) {
    const auto only = level->begin();
    parts.emplace_back(only->first.str());
    level = only->second.as_table();
  }
  return parts;
}

}  // namespace bissl::host
