#include "bissl/parameters.h"

#include <string>
#include <utility>
#include <vector>

namespace bissl {

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

ParameterBuilder& ParameterBuilder::path() {
  spec_.traits["path"] = true;
  return *this;
}

ParameterBuilder& ParameterBuilder::or_one() {
  spec_.traits["or_one"] = true;
  return *this;
}

ParameterBuilder& ParameterBuilder::accepts(std::string words) {
  spec_.traits["accepts"] = std::move(words);
  return *this;
}

ParameterBuilder& ParameterBuilder::length(int64_t elements) {
  spec_.length = elements;
  return *this;
}

ParameterBuilder& ParameterBuilder::required() {
  spec_.required = true;
  spec_.default_value = Value{};
  return *this;
}

ParameterBuilder& ParameterBuilder::only_with(std::string other, Value value) {
  return only_with(std::move(other), std::vector<Value>{std::move(value)});
}

ParameterBuilder& ParameterBuilder::only_with(std::string other, std::vector<Value> values) {
  spec_.only_with.push_back(
      {EffectCondition::Relation::one_of, {std::move(other)}, std::move(values)});
  return *this;
}

ParameterBuilder& ParameterBuilder::only_above(std::string other, double bound) {
  spec_.only_with.push_back({EffectCondition::Relation::more_than, {std::move(other)}, {bound}});
  return *this;
}

ParameterBuilder& ParameterBuilder::only_with_any(std::vector<std::string> others) {
  spec_.only_with.push_back({EffectCondition::Relation::any_set, std::move(others), {}});
  return *this;
}

ParameterBuilder& ParameterBuilder::only_without(std::string other) {
  spec_.only_with.push_back({EffectCondition::Relation::not_given, {std::move(other)}, {}});
  return *this;
}

ParameterBuilder& ParameterBuilder::names_data() {
  spec_.traits["names_data"] = true;
  return *this;
}

ParameterBuilder& ParameterBuilder::execution_only() {
  spec_.traits["execution_only"] = true;
  return *this;
}

ParameterBuilder& ParameterBuilder::formerly(std::string name) {
  std::vector<std::string> names = spec_.former_names();
  names.push_back(std::move(name));
  spec_.traits["formerly"] = std::move(names);
  return *this;
}

}  // namespace bissl
