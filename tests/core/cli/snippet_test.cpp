#include "cli/snippet.h"
#include "bissl/parameters.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

TEST(ExampleValue, IsAccepted) {
  ParameterSpec spec;
  spec.type = ValueType::floating;
  spec.required = true;
  const auto expect_accepted = [](const ParameterSpec& given) {
    const Value value = example_value(given);
    EXPECT_EQ(type_of(value), given.type) << given.accepted();
    EXPECT_EQ(given.refusal(value), "") << given.accepted() << ": " << to_toml(value);
  };
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<double, double>> bounds = {
      {-infinity, infinity}, {0, 1}, {2, 3}, {5, infinity}, {-infinity, -5}, {-3, -1}, {100, 102}};
  for (const auto& [minimum, maximum] : bounds) {
    for (const ValueType type : {ValueType::integer, ValueType::floating, ValueType::floats}) {
      for (const bool low_excluded : {false, true}) {
        spec.type = type;
        spec.minimum = minimum;
        spec.maximum = maximum;
        spec.minimum_excluded = low_excluded;
        expect_accepted(spec);
      }
    }
  }
  spec = {};
  spec.type = ValueType::strings;
  spec.choices = {"a", "b"};
  spec.length = 3;
  expect_accepted(spec);
  spec = {};
  spec.type = ValueType::integers;
  spec.length = 0;
  expect_accepted(spec);
  spec.type = ValueType::boolean;
  spec.length.reset();
  expect_accepted(spec);
}

}  // namespace
}  // namespace bissl::host::test
