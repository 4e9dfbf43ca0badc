#pragma once

#include "bissl/export.h"

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace bissl {

/// What a parameter can hold. `std::monostate` means "not set" (an optional parameter).
using Value = std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<int64_t>,
                           std::vector<double>, std::vector<std::string>>;

/// The types of parameters in TOML's words, in the order of Value's alternatives; the last three
/// are arrays.
enum class ValueType { none, boolean, integer, floating, string, integers, floats, strings };

BISSL_API ValueType type_of(const Value& value);

/// The type in TOML's words: "an integer", "an array of floats", …
BISSL_API std::string describe(ValueType type);

/// The value in TOML's spelling; floats in the shortest form that reads back as the same number.
/// "unset" for a value that is not set.
BISSL_API std::string to_toml(const Value& value);

/// Converts `value` to `type`: an integer to a float, a float without a fraction to an integer (up
/// to 2^53, where floats begin to skip integers), arrays likewise, and an array of integers to one
/// of strings. Returns false and leaves `value` unchanged where that is not possible.
BISSL_API bool convert(Value& value, ValueType type);

/// Checked values of one component's parameters, by name; every declared parameter is present.
using ParameterValues = std::map<std::string, Value>;

}  // namespace bissl
