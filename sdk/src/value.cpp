#include "bissl/value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        result += "\\\"";
        break;
      case '\\':
        result += "\\\\";
        break;
      case '\n':
        result += "\\n";
        break;
      case '\t':
        result += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          result += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
        } else {
          result += c;
        }
    }
  }
  return result + '"';
}

std::string spelled(bool value) { return value ? "true" : "false"; }
std::string spelled(int64_t value) { return fmt::format("{}", value); }
std::string spelled(const std::string& value) { return quoted(value); }

std::string spelled(double value) {
  if (std::isnan(value)) {
    return "nan";
  }
  if (std::isinf(value)) {
    return value > 0 ? "inf" : "-inf";
  }
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) {
    text += ".0";
  }
  return text;
}

/// Whether the number is an integer, and surely the one that was meant.
bool is_integer(double value) { return value == std::floor(value) && std::abs(value) <= 0x1p53; }

struct Speller {
  std::string operator()(std::monostate /*unset*/) const { return "unset"; }
  template <class T>
  std::string operator()(const T& value) const {
    return spelled(value);
  }
  template <class T>
  std::string operator()(const std::vector<T>& values) const {
    std::vector<std::string> texts;
    texts.reserve(values.size());
    for (const T& value : values) {
      texts.push_back(spelled(value));
    }
    return fmt::format("[{}]", fmt::join(texts, ", "));
  }
};

}  // namespace

ValueType type_of(const Value& value) { return static_cast<ValueType>(value.index()); }

std::string describe(ValueType type) {
  switch (type) {
    case ValueType::none:
      return "nothing";
    case ValueType::boolean:
      return "a boolean";
    case ValueType::integer:
      return "an integer";
    case ValueType::floating:
      return "a float";
    case ValueType::string:
      return "a string";
    case ValueType::integers:
      return "an array of integers";
    case ValueType::floats:
      return "an array of floats";
    case ValueType::strings:
      return "an array of strings";
  }
  return "an unknown type";
}

std::string to_toml(const Value& value) { return std::visit(Speller{}, value); }

bool convert(Value& value, ValueType type) {
  if (type_of(value) == type) {
    return true;
  }
  if (const auto* integer = std::get_if<int64_t>(&value); integer && type == ValueType::floating) {
    value = static_cast<double>(*integer);
    return true;
  }
  if (const auto* real = std::get_if<double>(&value);
      real && type == ValueType::integer && is_integer(*real)) {
    value = static_cast<int64_t>(*real);
    return true;
  }
  if (const auto* reals = std::get_if<std::vector<double>>(&value);
      reals && type == ValueType::integers &&
      std::all_of(reals->begin(), reals->end(), is_integer)) {
    value = std::vector<int64_t>(reals->begin(), reals->end());
    return true;
  }
  if (const auto* integers = std::get_if<std::vector<int64_t>>(&value)) {
    if (type == ValueType::floats) {
      value = std::vector<double>(integers->begin(), integers->end());
      return true;
    }
    if (type == ValueType::strings) {
      std::vector<std::string> texts;
      for (const int64_t integer : *integers) {
        texts.push_back(fmt::format("{}", integer));
      }
      value = std::move(texts);
      return true;
    }
  }
  return false;
}

}  // namespace bissl
