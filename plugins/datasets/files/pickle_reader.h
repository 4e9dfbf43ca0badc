#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bissl {

/// What a value of a pickle is.
enum class PickleKind {
  none,
  boolean,
  integer,
  real,
  bytes,    ///< bytes of Python 3; str of Python 2
  text,     ///< str of Python 3, UTF-8
  list,     ///< `items`
  tuple,    ///< `items`
  dict,     ///< `items`: a key, its value, the next key, …
  array,    ///< a NumPy array: `items` are its dimensions, `bytes` its content in C order
  element,  ///< a NumPy dtype; `bytes` is its name in the file, "u1"
  global,   ///< one of the few names that may be called; `bytes` is "module name"
};

/// A value; others are named by their places in the pickle.
struct PickleValue {
  PickleKind kind = PickleKind::none;
  int64_t integer = 0;            ///< of boolean and integer
  double real = 0;                ///< of real
  std::string_view bytes;         ///< see PickleKind; array: empty until it is complete
  std::vector<uint32_t> items;    ///< see PickleKind
  std::string_view element_type;  ///< array: of what it is, "u1"
};

/// The value in a pickle of protocol 0x80 0x02 … 0x04, as far as NumPy arrays and plain Python
/// values go. Nothing is imported or executed: reconstructing an array, a dtype and bytes that
/// protocol 2 spells as Latin-1 are done here, and every other name that the file wants to call is
/// an error. Values live in one place each, so neither depth nor cycles nor memos that repeat each
/// other cost more than the file has operations.
class Pickle {
 public:
  /// Throws Error(ErrorKind::input) for what is no pickle, is cut short, has bytes after its end,
  /// calls what is not allowed, or is out of all proportion: more than 1 GiB or 4 million values.
  explicit Pickle(const std::filesystem::path& file);

  const PickleValue& root() const { return values_[root_]; }
  const PickleValue& at(uint32_t place) const { return values_[place]; }

  /// The value of a key of a dict, whether it is bytes or text; null if there is none.
  const PickleValue* find(const PickleValue& dict, std::string_view key) const;

  /// The integers of a list or tuple, or of an array of "u1". Throws Error(ErrorKind::input), which
  /// begins with `what`, if it has anything else.
  std::vector<int64_t> integers(const PickleValue& value, const std::string& what) const;
  /// The same for texts, of either kind.
  std::vector<std::string> texts(const PickleValue& value, const std::string& what) const;

 private:
  friend class PickleMachine;

  std::string content_;
  std::deque<std::string> decoded_;  ///< bytes that are spelt as text in the file
  std::vector<PickleValue> values_;
  uint32_t root_ = 0;
};

}  // namespace bissl
