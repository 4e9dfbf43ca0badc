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

/// "a, b or c"
std::string alternatives(const std::vector<std::string>& items) {
  if (items.size() < 2) {
    return fmt::format("{}", fmt::join(items, ""));
  }
  return fmt::format("{} or {}", fmt::join(items.begin(), items.end() - 1, ", "), items.back());
}

std::optional<double> as_number(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    return static_cast<double>(*integer);
  }
  const auto* real = std::get_if<double>(&value);
  return real == nullptr ? std::nullopt : std::optional(*real);
}

/// Whether a value is given and is not 0, false or empty.
bool is_set(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) {
    return *flag;
  }
  if (const std::optional<double> number = as_number(value)) {
    return *number != 0;
  }
  if (const auto* text = std::get_if<std::string>(&value)) {
    return !text->empty();
  }
  const bool empty_list = value == Value(std::vector<int64_t>{}) ||
                          value == Value(std::vector<double>{}) ||
                          value == Value(std::vector<std::string>{});
  return type_of(value) != ValueType::none && !empty_list;
}

const Value& value_of(const std::string& name, const ParameterValues& all) {
  static const Value unset;
  const auto found = all.find(name);
  return found == all.end() ? unset : found->second;
}

const ParameterSpec* find_spec(const std::vector<ParameterSpec>& specs, const std::string& name) {
  const auto found = std::find_if(specs.begin(), specs.end(),
                                  [&](const ParameterSpec& spec) { return spec.name == name; });
  return found == specs.end() ? nullptr : &*found;
}

/// Why a parameter has no effect, or an empty text. `depth` ends a circle of conditions.
std::string without_effect(const ParameterSpec& spec, const std::vector<ParameterSpec>& specs,
                           const ParameterValues& values, size_t depth) {
  for (const EffectCondition& condition : spec.only_with) {
    if (!condition.holds(values)) {
      return condition.unmet_text(values);
    }
    const ParameterSpec* other = condition.relation == EffectCondition::Relation::one_of ||
                                         condition.relation == EffectCondition::Relation::more_than
                                     ? find_spec(specs, condition.parameters.front())
                                     : nullptr;
    if (other != nullptr && depth < specs.size()) {
      if (std::string reason = without_effect(*other, specs, values, depth + 1); !reason.empty()) {
        return reason;
      }
    }
  }
  return "";
}

/// What is wrong with a condition of `spec`, or an empty text.
std::string fault_of(const EffectCondition& condition, const ParameterSpec& spec,
                     const std::vector<ParameterSpec>& specs) {
  using Relation = EffectCondition::Relation;
  if (spec.required) {
    return "must always be given, so it cannot depend on others";
  }
  for (const std::string& name : condition.parameters) {
    const ParameterSpec* other = find_spec(specs, name);
    if (name == spec.name || other == nullptr) {
      return fmt::format("depends on \"{}\", which is no other parameter of the declaration", name);
    }
    if (condition.relation == Relation::more_than && other->type != ValueType::integer &&
        other->type != ValueType::floating) {
      return fmt::format("depends on how much \"{}\" is, which is no number", name);
    }
    if (condition.relation == Relation::not_given &&
        (other->required || type_of(other->default_value) != ValueType::none)) {
      return fmt::format("depends on whether \"{}\" is given, which always has a value", name);
    }
    for (Value value : condition.values) {
      if (condition.relation == Relation::one_of &&
          (!convert(value, other->type) || !other->refusal(value).empty())) {
        return fmt::format("depends on {} = {}, a value that it cannot have", name, to_toml(value));
      }
    }
  }
  return "";
}

}  // namespace

ParameterSpec::ParameterSpec() = default;
ParameterSpec::ParameterSpec(const ParameterSpec& other) = default;
ParameterSpec::ParameterSpec(ParameterSpec&& other) noexcept = default;
ParameterSpec& ParameterSpec::operator=(const ParameterSpec& other) = default;
ParameterSpec& ParameterSpec::operator=(ParameterSpec&& other) noexcept = default;
ParameterSpec::~ParameterSpec() = default;

bool EffectCondition::holds(const ParameterValues& all) const {
  const Value& actual = parameters.empty() ? Value() : value_of(parameters.front(), all);
  switch (relation) {
    case Relation::one_of:
      return std::any_of(values.begin(), values.end(), [&](Value value) {
        return convert(value, type_of(actual)) && value == actual;
      });
    case Relation::more_than: {
      const std::optional<double> number = as_number(actual);
      return number && !values.empty() && *number > as_number(values.front()).value_or(0);
    }
    case Relation::any_set:
      return std::any_of(parameters.begin(), parameters.end(),
                         [&](const std::string& name) { return is_set(value_of(name, all)); });
    case Relation::not_given:
      return type_of(actual) == ValueType::none;
  }
  return true;
}

std::string EffectCondition::text() const {
  const std::string names = alternatives(parameters);
  std::vector<std::string> spelled;
  for (const Value& value : values) {
    spelled.push_back(to_toml(value));
  }
  switch (relation) {
    case Relation::one_of:
      return fmt::format("with {} = {}", names, alternatives(spelled));
    case Relation::more_than:
      return fmt::format("with {} of more than {}", names,
                         number(values.empty() ? 0 : as_number(values.front()).value_or(0)));
    case Relation::any_set:
      return "with " + names;
    case Relation::not_given:
      return "without " + names;
  }
  return "";
}

std::string EffectCondition::unmet_text(const ParameterValues& all) const {
  const std::string names = alternatives(parameters);
  switch (relation) {
    case Relation::any_set:
      return "without " + names;
    case Relation::not_given:
      return fmt::format("when {} is given", names);
    case Relation::one_of:
    case Relation::more_than:
      break;
  }
  const Value& actual = value_of(names, all);
  if (type_of(actual) == ValueType::none) {
    return "without " + names;
  }
  const std::optional<double> as_real = as_number(actual);
  return fmt::format("with {} = {}", names, as_real ? number(*as_real) : to_toml(actual));
}

std::string ParameterSpec::accepted() const {
  if (const auto words = traits.find("accepts"); words != traits.end()) {
    return std::get<std::string>(words->second);
  }
  const bool list = is_list();
  std::string text = describe(type);
  if (accepts_one()) {
    text = fmt::format("{} or {}", describe(element_type()), text);
  }
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

std::vector<std::string> ParameterSpec::former_names() const {
  const auto names = traits.find("formerly");
  return names == traits.end() ? std::vector<std::string>{}
                               : std::get<std::vector<std::string>>(names->second);
}

ValueType ParameterSpec::element_type() const {
  switch (type) {
    case ValueType::integers:
      return ValueType::integer;
    case ValueType::floats:
      return ValueType::floating;
    case ValueType::strings:
      return ValueType::string;
    default:
      return type;
  }
}

std::vector<Finding> findings_without_effect(const std::vector<ParameterSpec>& specs,
                                             const ParameterValues& values,
                                             const std::set<std::string>& given) {
  std::vector<Finding> findings;
  for (const ParameterSpec& spec : specs) {
    if (given.count(spec.name) == 0) {
      continue;
    }
    if (const std::string reason = without_effect(spec, specs, values, 0); !reason.empty()) {
      findings.push_back({Finding::Severity::warning, spec.name, "has no effect " + reason});
    }
  }
  return findings;
}

std::vector<std::string> faults(const std::vector<ParameterSpec>& specs) {
  std::vector<std::string> found;
  std::set<std::string> names;
  std::set<std::string> former_names;
  for (const ParameterSpec& spec : specs) {
    if (!is_lower_snake(spec.name)) {
      found.push_back(fmt::format("parameter \"{}\": the name is not in lower_case", spec.name));
    }
    if (spec.name == "use" || spec.name == "host") {
      found.push_back(fmt::format("parameter \"{}\": the name is reserved", spec.name));
    }
    if (!names.insert(spec.name).second) {
      found.push_back(fmt::format("parameter \"{}\": declared twice", spec.name));
    }
    for (const std::string& former : spec.former_names()) {
      if (!is_lower_snake(former)) {
        found.push_back(fmt::format("parameter \"{}\": the former name \"{}\" is not in lower_case",
                                    spec.name, former));
      } else if (find_spec(specs, former) != nullptr || !former_names.insert(former).second) {
        found.push_back(
            fmt::format("parameter \"{}\": the former name \"{}\" is taken", spec.name, former));
      }
    }
    if (spec.is_path()) {
      const auto* path = std::get_if<std::string>(&spec.default_value);
      if (spec.type != ValueType::string && spec.type != ValueType::strings) {
        found.push_back(fmt::format("parameter \"{}\": only a string can be a path", spec.name));
      } else if (path != nullptr && !path->empty() && path->front() != '/') {
        found.push_back(
            fmt::format("parameter \"{}\": the default {} is a path that is not "
                        "absolute",
                        spec.name, to_toml(spec.default_value)));
      }
    }
    if (spec.names_data() && spec.type != ValueType::string && spec.type != ValueType::strings) {
      found.push_back(
          fmt::format("parameter \"{}\": only a string can name a data source", spec.name));
    }
    for (const EffectCondition& condition : spec.only_with) {
      if (const std::string fault = fault_of(condition, spec, specs); !fault.empty()) {
        found.push_back(fmt::format("parameter \"{}\": it {}", spec.name, fault));
      }
    }
    if (spec.accepts_one() && !spec.is_list()) {
      found.push_back(
          fmt::format("parameter \"{}\": only an array can be given as a single value", spec.name));
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
