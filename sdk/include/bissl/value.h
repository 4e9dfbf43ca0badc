#pragma once

#include "bissl/export.h"

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace bissl {

/// What a parameter can hold. `std::monostate` stands for "not set" (an optional parameter).
using Value = std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<int64_t>,
                           std::vector<double>, std::vector<std::string>>;

/// The types of parameters, in the order of Value's alternatives.
enum class ValueType { none, boolean, integer, real, text, integers, reals, texts };

BISSL_API ValueType type_of(const Value& value);

/// The type in TOML's words: "an integer", "an array of floats", …
BISSL_API std::string describe(ValueType type);

/// The value in TOML's spelling; reals in the shortest form that reads back as the same number.
/// "unset" for a value that is not set.
BISSL_API std::string to_toml(const Value& value);

/// Whether the value can serve for a parameter of `type`, and the value in that type: an integer
/// is taken for a real, a real without a fraction for an integer (up to 2^53, where reals begin to
/// skip integers), lists likewise, and a list of integers for one of texts. Returns false and
/// leaves `value` alone if it cannot.
BISSL_API bool convert(Value& value, ValueType type);

/// Checked values of one component's parameters, by name; every declared parameter is present.
using ParameterValues = std::map<std::string, Value>;

}  // namespace bissl
