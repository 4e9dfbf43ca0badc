#include "bissl/value.h"

#include <gtest/gtest.h>
#include <toml++/toml.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using Integers = std::vector<int64_t>;
using Reals = std::vector<double>;
using Texts = std::vector<std::string>;

toml::table parsed(const Value& value) { return toml::parse("x = " + to_toml(value)); }

TEST(ToToml, SpellsEachType) {
  EXPECT_EQ(to_toml(Value{}), "unset");
  EXPECT_EQ(to_toml(true), "true");
  EXPECT_EQ(to_toml(int64_t{-7}), "-7");
  EXPECT_EQ(to_toml(0.1), "0.1");
  EXPECT_EQ(to_toml(3.0), "3.0");
  EXPECT_EQ(to_toml(std::string("a\"b")), R"("a\"b")");
  EXPECT_EQ(to_toml(Integers{1, 2}), "[1, 2]");
  EXPECT_EQ(to_toml(Reals{}), "[]");
  EXPECT_EQ(to_toml(Texts{"a", "b"}), R"(["a", "b"])");
}

TEST(ToToml, RealsReadBackAsTheSameNumberAndAsReals) {
  for (const double value :
       {0.0, 0.1, 1.0, -2.5, 1e15, 1e16, 1e22, 1e300, 1e-5, 5e-324, 1.0 / 3.0, 123456789012345680.0,
        std::numeric_limits<double>::max(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    const auto read = parsed(value)["x"].value_exact<double>();
    ASSERT_TRUE(read.has_value()) << to_toml(value);
    EXPECT_EQ(*read, value) << to_toml(value);
  }
  EXPECT_TRUE(std::isnan(parsed(std::nan(""))["x"].value_exact<double>().value_or(0.0)));
}

TEST(ToToml, IntegersReadBack) {
  for (const int64_t value :
       {int64_t{0}, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(parsed(value)["x"].value_exact<int64_t>(), value);
  }
}

TEST(ToToml, TextsReadBackWithEveryCharacter) {
  std::string all;
  for (char c = 1; c < 127; ++c) {
    all += c;
  }
  for (const std::string& text : {std::string(), all, std::string("\x7f"), std::string("\0", 1),
                                  std::string("λ ≥ 0 \\ \"")}) {
    EXPECT_EQ(parsed(text)["x"].value_exact<std::string>(), text);
  }
}

TEST(ToToml, ListsReadBack) {
  const toml::table table = parsed(Reals{0.5, 2.0});
  const toml::array& list = *table["x"].as_array();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_TRUE(list.is_homogeneous<double>());
  EXPECT_EQ(list[1].value_exact<double>(), 2.0);
}

TEST(TypeOf, FollowsTheAlternatives) {
  EXPECT_EQ(type_of(Value{}), ValueType::none);
  EXPECT_EQ(type_of(false), ValueType::boolean);
  EXPECT_EQ(type_of(int64_t{1}), ValueType::integer);
  EXPECT_EQ(type_of(1.0), ValueType::floating);
  EXPECT_EQ(type_of(std::string()), ValueType::string);
  EXPECT_EQ(type_of(Integers{}), ValueType::integers);
  EXPECT_EQ(type_of(Reals{}), ValueType::floats);
  EXPECT_EQ(type_of(Texts{}), ValueType::strings);
}

TEST(Convert, TakesIntegersForRealsAndLists) {
  Value integer = int64_t{3};
  EXPECT_TRUE(convert(integer, ValueType::floating));
  EXPECT_EQ(integer, Value(3.0));
  Value list = Integers{1, 2};
  EXPECT_TRUE(convert(list, ValueType::floats));
  EXPECT_EQ(list, Value(Reals{1.0, 2.0}));
  Value names = Integers{6, 9};
  EXPECT_TRUE(convert(names, ValueType::strings));
  EXPECT_EQ(names, Value(Texts{"6", "9"}));
  Value text = std::string("same");
  EXPECT_TRUE(convert(text, ValueType::string));
  EXPECT_EQ(text, Value(std::string("same")));
}

TEST(Convert, TakesRealsWithoutAFractionForIntegers) {
  for (const double given : {1e3, 1000.0, -7.0, 0x1p53}) {
    Value value = given;
    EXPECT_TRUE(convert(value, ValueType::integer)) << given;
    EXPECT_EQ(value, Value(static_cast<int64_t>(given)));
  }
  Value list = Reals{1.0, 2e2};
  EXPECT_TRUE(convert(list, ValueType::integers));
  EXPECT_EQ(list, Value(Integers{1, 200}));
}

TEST(Describe, NamesTypesInTomlsWords) {
  EXPECT_EQ(describe(ValueType::boolean), "a boolean");
  EXPECT_EQ(describe(ValueType::floating), "a float");
  EXPECT_EQ(describe(ValueType::string), "a string");
  EXPECT_EQ(describe(ValueType::integers), "an array of integers");
  EXPECT_EQ(describe(ValueType::floats), "an array of floats");
  EXPECT_EQ(describe(ValueType::strings), "an array of strings");
}

TEST(Convert, LeavesTheRestAlone) {
  const std::vector<std::pair<Value, ValueType>> refused{
      {1.5, ValueType::integer},
      {int64_t{1}, ValueType::boolean},
      {true, ValueType::integer},
      {std::string("3"), ValueType::integer},
      {int64_t{3}, ValueType::string},
      {int64_t{3}, ValueType::floats},
      {Reals{1.0, 1.5}, ValueType::integers},
      {Texts{"1"}, ValueType::floats},
      {Value{}, ValueType::floating},
      {1e300, ValueType::integer},
      {0x1p53 + 2, ValueType::integer},
      {std::nan(""), ValueType::integer},
      {-std::numeric_limits<double>::infinity(), ValueType::integer},
  };
  for (const auto& [given, type] : refused) {
    Value value = given;
    EXPECT_FALSE(convert(value, type)) << to_toml(given) << " as " << describe(type);
    EXPECT_EQ(to_toml(value), to_toml(given));
  }
}

}  // namespace
}  // namespace bissl::host
