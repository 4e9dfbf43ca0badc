#include "bissl/parameters.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace bissl {
namespace {

std::string number(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15
             ? fmt::format("{}", static_cast<int64_t>(value))
             : fmt::format("{}", value);
}

std::string bounds(const ParameterSpec& spec) {
  std::vector<std::string> parts;
  if (std::isfinite(spec.minimum)) {
    parts.push_back(spec.minimum_excluded ? "more than " + number(spec.minimum)
                                          : "at least " + number(spec.minimum));
  }
  if (std::isfinite(spec.maximum)) {
    parts.push_back(spec.maximum_excluded ? "less than " + number(spec.maximum)
                                          : "at most " + number(spec.maximum));
  }
  return fmt::format("{}", fmt::join(parts, " and "));
}

std::string number_refusal(const ParameterSpec& spec, double value) {
  if (!std::isfinite(value)) {
    return "is not a finite number";
  }
  const bool low = spec.minimum_excluded ? value <= spec.minimum : value < spec.minimum;
  const bool high = spec.maximum_excluded ? value >= spec.maximum : value > spec.maximum;
  return low || high ? "is out of bounds" : "";
}

std::string text_refusal(const ParameterSpec& spec, const std::string& value) {
  if (spec.choices.empty() ||
      std::find(spec.choices.begin(), spec.choices.end(), value) != spec.choices.end()) {
    return "";
  }
  return "is not among the choices";
}

struct Refuser {
  const ParameterSpec& spec;

  std::string operator()(std::monostate /*unset*/) const { return ""; }
  std::string operator()(bool /*value*/) const { return ""; }
  std::string operator()(int64_t value) const {
    return number_refusal(spec, static_cast<double>(value));
  }
  std::string operator()(double value) const { return number_refusal(spec, value); }
  std::string operator()(const std::string& value) const { return text_refusal(spec, value); }
  template <class T>
  std::string operator()(const std::vector<T>& values) const {
    if (spec.length && static_cast<int64_t>(values.size()) != *spec.length) {
      return fmt::format("has {} elements", values.size());
    }
    for (size_t i = 0; i < values.size(); ++i) {
      const std::string reason = (*this)(values[i]);
      if (!reason.empty()) {
        return fmt::format("has an element ({}) that {}", to_toml(values[i]), reason);
      }
    }
    return "";
  }
};

bool is_lower_snake(const std::string& name) {
  return !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

}  // namespace

std::string ParameterSpec::accepted() const {
  const bool list =
      type == ValueType::integers || type == ValueType::reals || type == ValueType::texts;
  std::string text = describe(type);
  if (type == ValueType::boolean) {
    text += " (true or false)";
  }
  if (length) {
    text += fmt::format(" with {} elements", *length);
  }
  if (!choices.empty()) {
    const std::string among = fmt::format("one of \"{}\"", fmt::join(choices, "\", \""));
    return list ? text + ", each " + among : among;
  }
  const std::string limits = bounds(*this);
  if (!limits.empty()) {
    text += (list ? ", each " : " of ") + limits;
  }
  if (is_path()) {
    text += list ? ", each a path, relative to the file that names it"
                 : ": a path, relative to the file that names it";
  }
  return text;
}

std::string ParameterSpec::refusal(const Value& value) const {
  return std::visit(Refuser{*this}, value);
}

ParameterBuilder& ParameterBuilder::at_least(double bound) {
  spec_.minimum = bound;
  spec_.minimum_excluded = false;
  return *this;
}

ParameterBuilder& ParameterBuilder::at_most(double bound) {
  spec_.maximum = bound;
  spec_.maximum_excluded = false;
  return *this;
}

ParameterBuilder& ParameterBuilder::more_than(double bound) {
  spec_.minimum = bound;
  spec_.minimum_excluded = true;
  return *this;
}

ParameterBuilder& ParameterBuilder::less_than(double bound) {
  spec_.maximum = bound;
  spec_.maximum_excluded = true;
  return *this;
}

ParameterBuilder& ParameterBuilder::choices(std::vector<std::string> accepted) {
  spec_.choices = std::move(accepted);
  return *this;
}

ParameterBuilder& ParameterBuilder::unit(std::string name) {
  spec_.unit = std::move(name);
  return *this;
}

// In the text that people read of a number: another member would change the layout of what crosses
// the plugin boundary.
ParameterBuilder& ParameterBuilder::path() { return unit("path"); }

ParameterBuilder& ParameterBuilder::length(int64_t elements) {
  spec_.length = elements;
  return *this;
}

ParameterBuilder& ParameterBuilder::required() {
  spec_.required = true;
  spec_.default_value = Value{};
  return *this;
}

std::vector<std::string> faults(const std::vector<ParameterSpec>& specs) {
  std::vector<std::string> found;
  std::set<std::string> names;
  for (const ParameterSpec& spec : specs) {
    if (!is_lower_snake(spec.name)) {
      found.push_back(fmt::format("parameter \"{}\": the name is not in lower_case", spec.name));
    }
    if (spec.name == "use") {
      found.push_back("parameter \"use\": the name is reserved");
    }
    if (!names.insert(spec.name).second) {
      found.push_back(fmt::format("parameter \"{}\": declared twice", spec.name));
    }
    if (spec.is_path()) {
      const auto* path = std::get_if<std::string>(&spec.default_value);
      if (spec.type != ValueType::text && spec.type != ValueType::texts) {
        found.push_back(fmt::format("parameter \"{}\": only a text can be a path", spec.name));
      } else if (path != nullptr && !path->empty() && path->front() != '/') {
        found.push_back(
            fmt::format("parameter \"{}\": the default {} is a path that is not "
                        "absolute",
                        spec.name, to_toml(spec.default_value)));
      }
    }
    if (spec.doc.empty()) {
      found.push_back(fmt::format("parameter \"{}\": no documentation", spec.name));
    }
    if (const std::string reason = spec.refusal(spec.default_value); !reason.empty()) {
      found.push_back(fmt::format("parameter \"{}\": the default {} {}", spec.name,
                                  to_toml(spec.default_value), reason));
    }
  }
  return found;
}

ParameterValues defaults(const std::vector<ParameterSpec>& specs) {
  ParameterValues values;
  for (const ParameterSpec& spec : specs) {
    values[spec.name] = spec.default_value;
  }
  return values;
}

}  // namespace bissl
