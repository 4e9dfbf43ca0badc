#pragma once

#include "bissl/error.h"
#include "bissl/value.h"

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace bissl {

/// One parameter, declared once. Parsing, checking, help, the reference pages and the resolved
/// configuration of a run all come from this.
struct BISSL_API ParameterSpec {
  std::string name;                  ///< the key in TOML, lower_case
  ValueType type = ValueType::none;  ///< of its values
  Value default_value;               ///< unset for a required or an optional parameter
  bool required = false;             ///< has no default and must be given
  std::string doc;                   ///< one line
  std::string unit;                  ///< "steps", "pixels", "path", … or empty
  double minimum = -std::numeric_limits<double>::infinity();  ///< of numbers
  double maximum = std::numeric_limits<double>::infinity();   ///< of numbers
  bool minimum_excluded = false;                              ///< the minimum itself is refused
  bool maximum_excluded = false;                              ///< the maximum itself is refused
  std::vector<std::string> choices;  ///< for texts: the accepted values; empty accepts every text
  std::optional<int64_t> length;     ///< for lists: the exact number of elements

  /// What is accepted, in words: "an integer of at least 1", "one of \"global\", \"layerwise\"".
  std::string accepted() const;

  /// Whether the texts are paths (ParameterBuilder::path).
  bool is_path() const { return unit == "path"; }

  /// Why `value` (already of this type) is refused, or an empty text. Bounds and choices hold for
  /// every element of a list; a real must be finite.
  std::string refusal(const Value& value) const;
};

/// What a component's own rule has to say about a combination of valid parameters.
struct BISSL_API Finding {
  /// An error refuses the combination, a warning only speaks.
  enum class Severity { error, warning };
  Severity severity = Severity::error;  ///< how bad it is
  std::string parameter;                ///< the name of the parameter that it is about
  std::string message;  ///< what is wrong, as the rest of a sentence that begins with the name
};

namespace detail {

template <class T>
struct ValueTypeOf;
template <>
struct ValueTypeOf<bool> : std::integral_constant<ValueType, ValueType::boolean> {};
template <>
struct ValueTypeOf<int64_t> : std::integral_constant<ValueType, ValueType::integer> {};
template <>
struct ValueTypeOf<double> : std::integral_constant<ValueType, ValueType::real> {};
template <>
struct ValueTypeOf<std::string> : std::integral_constant<ValueType, ValueType::text> {};
template <>
struct ValueTypeOf<std::vector<int64_t>> : std::integral_constant<ValueType, ValueType::integers> {
};
template <>
struct ValueTypeOf<std::vector<double>> : std::integral_constant<ValueType, ValueType::reals> {};
template <>
struct ValueTypeOf<std::vector<std::string>> : std::integral_constant<ValueType, ValueType::texts> {
};

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

}  // namespace detail

/// Refines the declaration that Schema::add has just made.
class BISSL_API ParameterBuilder {
 public:
  /// Refines `spec`, which must outlive it.
  explicit ParameterBuilder(ParameterSpec& spec) : spec_(spec) {}

  /// A number, or each of a list, is not below the bound.
  ParameterBuilder& at_least(double bound);
  /// Not above the bound.
  ParameterBuilder& at_most(double bound);
  /// Above the bound.
  ParameterBuilder& more_than(double bound);
  /// Below the bound.
  ParameterBuilder& less_than(double bound);
  /// A text, or each of a list, is one of these.
  ParameterBuilder& choices(std::vector<std::string> accepted);
  /// What a number counts: "steps", "pixels". For people.
  ParameterBuilder& unit(std::string name);
  /// A text, or each of a list, is a path. The host makes it absolute before the component sees it:
  /// it is relative to the file that names it, on the command line to the current folder. It may be
  /// empty, for none.
  ParameterBuilder& path();
  /// A list has exactly so many elements.
  ParameterBuilder& length(int64_t elements);
  /// Takes the default away: the parameter must be given.
  ParameterBuilder& required();

 private:
  ParameterSpec& spec_;
};

/// The parameters of a component, bound to the members of a plain aggregate `Options`.
///
///     struct CgOptions { int64_t iterations = 5; double damping = 10.0; };
///     Schema<CgOptions> schema;
///     schema.add("iterations", &CgOptions::iterations, "steps of conjugate gradient").at_least(1);
///
/// The default is the one that the aggregate's initialiser gives. A member of type
/// std::optional<T> declares a parameter that may be left unset. Members may be bool, int64_t,
/// double, std::string or a std::vector of the latter three.
template <class Options>
class Schema {
 public:
  /// Declares a parameter that is kept in `member`. `doc` is one line.
  template <class T>
  ParameterBuilder add(std::string name, T Options::*member, std::string doc) {
    ParameterSpec spec;
    spec.name = name;
    spec.doc = std::move(doc);
    if constexpr (detail::IsOptional<T>::value) {
      spec.type = detail::ValueTypeOf<typename T::value_type>::value;
    } else {
      spec.type = detail::ValueTypeOf<T>::value;
      spec.default_value = Options{}.*member;
    }
    specs_.push_back(std::move(spec));
    setters_.push_back([name, member](Options& options, const ParameterValues& values) {
      const Value& value = values.at(name);
      if constexpr (detail::IsOptional<T>::value) {
        if (const auto* held = std::get_if<typename T::value_type>(&value)) {
          options.*member = *held;
        }
      } else {
        options.*member = std::get<T>(value);
      }
    });
    return ParameterBuilder(specs_.back());
  }

  /// A rule over several parameters, called with valid values only. It appends its findings: an
  /// error for a combination that cannot work, a warning for a parameter without effect.
  void rule(std::function<void(const Options&, std::vector<Finding>&)> check) {
    rules_.push_back(std::move(check));
  }

  /// The declarations, in their order.
  const std::vector<ParameterSpec>& specs() const { return specs_; }

  /// Checked values (one for each declared parameter) as an aggregate.
  Options parse(const ParameterValues& values) const {
    Options options;
    for (const auto& setter : setters_) {
      setter(options, values);
    }
    return options;
  }

  /// What the rules say of valid values.
  std::vector<Finding> check(const ParameterValues& values) const {
    std::vector<Finding> findings;
    const Options options = parse(values);
    for (const auto& rule : rules_) {
      rule(options, findings);
    }
    return findings;
  }

 private:
  std::vector<ParameterSpec> specs_;
  std::vector<std::function<void(Options&, const ParameterValues&)>> setters_;
  std::vector<std::function<void(const Options&, std::vector<Finding>&)>> rules_;
};

/// Faults of a declaration itself (no documentation, a default outside its bounds, a name used
/// twice or not in lower_case), one text each; empty when it is sound.
BISSL_API std::vector<std::string> faults(const std::vector<ParameterSpec>& specs);

/// The defaults of all parameters; those without one are unset.
BISSL_API ParameterValues defaults(const std::vector<ParameterSpec>& specs);

}  // namespace bissl
