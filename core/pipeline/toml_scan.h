#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bissl::host {

/// What toml++ must not be given, and where it is.
struct TomlFault {
  /// Counted from 1, the column in bytes.
  int line;
  int column;
  /// A complete message without the place.
  std::string text;
};

/// The first place of `text` at which toml++ 3.3 and 3.4 would do more than refuse it: a key of so
/// many parts that the tables which it makes exhaust the stack, and brackets in an order that the
/// parser asserts against. Also characters outside ASCII that stand outside quotes, which no TOML
/// allows. Any other fault of the text is left to the parser.
std::optional<TomlFault> find_unparsable(std::string_view text);

}  // namespace bissl::host
