#include "bissl/parameters.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

struct Decay {
  double weight_decay = 0.1;
  bool decay_1d = true;
  bool operator==(const Decay&) const = default;
};

Schema<Decay> decay_schema() {
  Schema<Decay> made;
  made.add("weight_decay", &Decay::weight_decay, "penalty").at_least(0);
  made.add("decay_1d", &Decay::decay_1d, "of biases, too").only_above("weight_decay", 0);
  made.rule([](const Decay& decay, std::vector<Finding>& findings) {
    if (decay.weight_decay > 1) {
      findings.push_back({Finding::Severity::warning, "weight_decay", "is large"});
    }
  });
  return made;
}

struct Nested {
  std::string data;
  Decay inner{.weight_decay = 0.5, .decay_1d = false};
  std::optional<int64_t> steps;
};

Schema<Nested> nested_schema() {
  Schema<Nested> made;
  made.add("data", &Nested::data, "source").required().names_data();
  made.embed(&Nested::inner, decay_schema());
  made.add("steps", &Nested::steps, "number of steps").execution_only();
  return made;
}

/// Once more, two levels deep.
struct Outer {
  Nested nested;
};

TEST(Embed, DeclaresTheKeysOfThePartWithTheDefaultsOfTheWhole) {
  const auto specs = nested_schema().specs();
  ASSERT_EQ(specs.size(), 4U);
  EXPECT_EQ(specs[1].name, "weight_decay");
  EXPECT_EQ(specs[1].default_value, Value(0.5)) << "not that of the part, 0.1";
  EXPECT_EQ(specs[2].default_value, Value(false));
  EXPECT_EQ(specs[0].default_value, Value{});
  EXPECT_EQ(specs[3].default_value, Value{});
  EXPECT_TRUE(specs[0].names_data());
  EXPECT_TRUE(specs[3].execution_only());
  EXPECT_FALSE(specs[1].execution_only());
  EXPECT_EQ(faults(specs), std::vector<std::string>{});
}

TEST(Embed, ParsesIntoThePartAndRunsItsRules) {
  Schema<Outer> outer;
  outer.embed(&Outer::nested, nested_schema());
  ParameterValues values = defaults(outer.specs());
  values["data"] = std::string("few");
  EXPECT_EQ(outer.parse(values).nested.inner, (Decay{0.5, false}));
  values["weight_decay"] = 2.0;
  values["decay_1d"] = true;
  values["steps"] = int64_t{3};
  const Nested nested = outer.parse(values).nested;
  EXPECT_EQ(nested.data, "few");
  EXPECT_EQ(nested.inner, (Decay{2.0, true}));
  EXPECT_EQ(nested.steps, 3);
  ASSERT_EQ(outer.check(values).size(), 1U);
  EXPECT_EQ(outer.check(values)[0].parameter, "weight_decay");
}

TEST(Embed, TellsAKeyThatTwoPartsDeclare) {
  struct Twice {
    Decay first;
    Decay second;
  };
  Schema<Twice> twice;
  twice.embed(&Twice::first, decay_schema()).embed(&Twice::second, decay_schema());
  EXPECT_EQ(faults(twice.specs()),
            (std::vector<std::string>{"parameter \"weight_decay\": declared twice",
                                      "parameter \"decay_1d\": declared twice"}));
}

}  // namespace
}  // namespace bissl::host
