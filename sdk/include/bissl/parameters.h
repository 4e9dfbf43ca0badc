#pragma once

#include "bissl/error.h"
#include "bissl/value.h"

#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace bissl {

/// When a parameter has an effect, by others of the same declaration.
struct BISSL_API EffectCondition {
  /// The condition on the other parameters.
  enum class Relation {
    one_of,     ///< its value is among `values`
    more_than,  ///< its number is more than the one in `values`
    any_set,    ///< one of them at least is given and is not 0, false or empty
    not_given,  ///< it is not given
  };
  Relation relation = Relation::one_of;  ///< which of these
  std::vector<std::string> parameters;   ///< the others: one, or several for any_set
  std::vector<Value> values;             ///< see Relation

  /// Whether it holds for the values of all parameters.
  bool holds(const ParameterValues& all) const;
  /// In words: "with form = \"global\"", "with weight_decay of more than 0", "without step".
  std::string text() const;
  /// The reason where it does not hold: "with form = \"layerwise\"".
  std::string unmet_text(const ParameterValues& all) const;
};

/// One parameter, declared once. Parsing, checking, help, the reference pages and the resolved
/// configuration of a run all come from this.
struct BISSL_API ParameterSpec {
  // Copies and the rest are in the sdk's library: every plugin would compile them otherwise.
  ParameterSpec();
  ParameterSpec(const ParameterSpec& other);                 ///< copies all of it
  ParameterSpec(ParameterSpec&& other) noexcept;             ///< leaves `other` without content
  ParameterSpec& operator=(const ParameterSpec& other);      ///< copies all of it
  ParameterSpec& operator=(ParameterSpec&& other) noexcept;  ///< leaves `other` without content
  ~ParameterSpec();

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
  std::vector<std::string> choices;  ///< of strings: the accepted values; empty accepts every one
  std::optional<int64_t> length;     ///< of arrays: the exact number of elements
  std::vector<EffectCondition> only_with;  ///< all must hold for the parameter to have an effect
  /// Marks by name, so that later ones need no new member: "path", "names_data", "execution_only",
  /// "or_one", "accepts" and "formerly".
  ParameterValues traits;

  /// The type of an array's elements; of anything else its own.
  ValueType element_type() const;

  /// What is accepted, in words: "an integer of at least 1", "one of \"global\", \"layerwise\"".
  std::string accepted() const;

  /// Whether the strings are paths (ParameterBuilder::path).
  bool is_path() const { return traits.count("path") != 0; }
  /// Whether the strings are names of data sources (ParameterBuilder::names_data).
  bool names_data() const { return traits.count("names_data") != 0; }
  /// Whether a single value may replace an array of one (ParameterBuilder::or_one).
  bool accepts_one() const { return traits.count("or_one") != 0; }
  /// Whether it changes no result (ParameterBuilder::execution_only).
  bool execution_only() const { return traits.count("execution_only") != 0; }
  /// The names that it had in earlier versions (ParameterBuilder::formerly).
  std::vector<std::string> former_names() const;
  /// Whether a value is an array.
  bool is_list() const {
    return type == ValueType::integers || type == ValueType::floats || type == ValueType::strings;
  }

  /// Why `value` (already of this type) is refused, or an empty string. Bounds and choices hold for
  /// every element of an array; a float must be finite.
  std::string refusal(const Value& value) const;
};

/// What a component's own rule finds wrong with a combination of valid parameters.
struct BISSL_API Finding {
  /// An error refuses the combination, a warning does not.
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
struct ValueTypeOf<double> : std::integral_constant<ValueType, ValueType::floating> {};
template <>
struct ValueTypeOf<std::string> : std::integral_constant<ValueType, ValueType::string> {};
template <>
struct ValueTypeOf<std::vector<int64_t>> : std::integral_constant<ValueType, ValueType::integers> {
};
template <>
struct ValueTypeOf<std::vector<double>> : std::integral_constant<ValueType, ValueType::floats> {};
template <>
struct ValueTypeOf<std::vector<std::string>>
    : std::integral_constant<ValueType, ValueType::strings> {};

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

  /// A number, or each of an array, is not below the bound.
  ParameterBuilder& at_least(double bound);
  /// Not above the bound.
  ParameterBuilder& at_most(double bound);
  /// Above the bound.
  ParameterBuilder& more_than(double bound);
  /// Below the bound.
  ParameterBuilder& less_than(double bound);
  /// A string, or each of an array, is one of these.
  ParameterBuilder& choices(std::vector<std::string> accepted);
  /// What a number counts: "steps", "pixels". For people.
  ParameterBuilder& unit(std::string name);
  /// A string, or each of an array, is a path. The host makes it absolute before the component sees
  /// it: it is relative to the file that names it, on the command line to the current folder. It
  /// may be empty, for none.
  ParameterBuilder& path();
  /// An array has exactly this number of elements.
  ParameterBuilder& length(int64_t elements);
  /// A single value is accepted for an array of one.
  ParameterBuilder& or_one();
  /// What is accepted, in words, where types, bounds and choices do not say it.
  ParameterBuilder& accepts(std::string words);
  /// Takes the default away: the parameter must be given.
  ParameterBuilder& required();

  /// The parameter has an effect only where the parameter `other` of the same declaration has this
  /// value, or one of these. Where it has none and is given, the user is warned; descriptions say
  /// so, too. Conditions add up: all must hold, and an `other` must itself have an effect.
  ParameterBuilder& only_with(std::string other, Value value);
  /// The same for several values.
  ParameterBuilder& only_with(std::string other, std::vector<Value> values);
  /// The same for a number of more than `bound`: a weight or a probability that is not 0.
  ParameterBuilder& only_above(std::string other, double bound);
  /// The same for several parameters, of which one at least is given and is not 0, false or empty.
  ParameterBuilder& only_with_any(std::vector<std::string> others);
  /// The same for a parameter without a default that is not given.
  ParameterBuilder& only_without(std::string other);

  /// A string, or each of an array, is the name of a data source ([data.NAME]), which must exist;
  /// the data itself, not its name, is in a stage's key. Where the default is an empty string, that
  /// is none. For tables of the host: components are given data, they do not choose it.
  ParameterBuilder& names_data();
  /// Any value gives the same results: a path to data (its fingerprint is compared), the size of a
  /// cache, a way to compute that costs less memory. It is in no stage's key and is not compared.
  ParameterBuilder& execution_only();

  /// An earlier version of the component called the parameter `name`. Files that still do are
  /// refused with the name of now; call it again for each earlier name.
  ParameterBuilder& formerly(std::string name);

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
/// double, std::string or a std::vector of the latter three. Members that are aggregates with a
/// schema of their own are declared by `embed`.
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
    members_.push_back({[name, member](Options& options, const ParameterValues& values) {
                          const Value& value = values.at(name);
                          if constexpr (detail::IsOptional<T>::value) {
                            if (const auto* held = std::get_if<typename T::value_type>(&value)) {
                              options.*member = *held;
                            }
                          } else {
                            options.*member = std::get<T>(value);
                          }
                        },
                        [member](const Options& options) -> Value {
                          if constexpr (detail::IsOptional<T>::value) {
                            return options.*member ? Value(*(options.*member)) : Value();
                          } else {
                            return options.*member;
                          }
                        }});
    return ParameterBuilder(specs_.back());
  }

  /// Declares all parameters of `part`, which are kept in the aggregate `member`, with its rules:
  /// a block of options that several components share is declared once. Its keys are beside the
  /// others, not in a table of their own. The defaults are those that `Options` gives the member.
  ///
  ///     struct DecayOptions { double weight_decay = 0; bool decay_1d = true; };
  ///     struct LarsOptions { double lr = 0.1; DecayOptions decay{.decay_1d = false}; };
  ///     schema.embed(&LarsOptions::decay, decay_schema());
  template <class Part>
  Schema& embed(Part Options::*member, const Schema<Part>& part) {
    const Options standard;
    for (size_t i = 0; i < part.specs_.size(); ++i) {
      ParameterSpec spec = part.specs_[i];
      if (!spec.required) {
        spec.default_value = part.members_[i].get(standard.*member);
      }
      specs_.push_back(std::move(spec));
      members_.push_back(
          {[member, set = part.members_[i].set](Options& options, const ParameterValues& values) {
             set(options.*member, values);
           },
           [member, get = part.members_[i].get](const Options& options) {
             return get(options.*member);
           }});
    }
    for (const auto& check : part.rules_) {
      rules_.push_back([member, check](const Options& options, std::vector<Finding>& findings) {
        check(options.*member, findings);
      });
    }
    return *this;
  }

  /// A rule over several parameters, called with valid values only. It appends its findings: an
  /// error for a combination that cannot work, a warning for one that is hardly meant. That a
  /// parameter has no effect is better declared: ParameterBuilder::only_with.
  void rule(std::function<void(const Options&, std::vector<Finding>&)> check) {
    rules_.push_back(std::move(check));
  }

  /// The declarations, in their order.
  const std::vector<ParameterSpec>& specs() const { return specs_; }

  /// Checked values (one for each declared parameter) as an aggregate.
  Options parse(const ParameterValues& values) const {
    Options options;
    for (const Member& member : members_) {
      member.set(options, values);
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
  template <class Other>
  friend class Schema;

  /// How the value of one parameter reaches its member, and which one is there.
  struct Member {
    std::function<void(Options&, const ParameterValues&)> set;
    std::function<Value(const Options&)> get;
  };

  std::vector<ParameterSpec> specs_;
  std::vector<Member> members_;  ///< in the order of specs_
  std::vector<std::function<void(const Options&, std::vector<Finding>&)>> rules_;
};

/// Warnings for the parameters among `given` that have no effect with these valid values
/// (ParameterBuilder::only_with): "has no effect with form = \"layerwise\"".
BISSL_API std::vector<Finding> findings_without_effect(const std::vector<ParameterSpec>& specs,
                                                       const ParameterValues& values,
                                                       const std::set<std::string>& given);

/// Faults of a declaration itself (no documentation, a default outside its bounds, a name used
/// twice or not in lower_case, a condition on what is not declared), one text each; empty when it
/// is sound.
BISSL_API std::vector<std::string> faults(const std::vector<ParameterSpec>& specs);

/// The defaults of all parameters; those without one are unset.
BISSL_API ParameterValues defaults(const std::vector<ParameterSpec>& specs);

}  // namespace bissl
