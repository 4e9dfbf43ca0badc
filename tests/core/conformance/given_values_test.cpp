#include "conformance/given_values.h"

#include "bissl/error.h"
#include "sample_component.h"

#include <gtest/gtest.h>

namespace bissl::host::test {
namespace {

std::vector<GivenValue> given_values(const std::vector<std::string>& texts) {
  std::vector<GivenValue> given;
  for (const std::string& text : texts) {
    given.push_back(parse_given(text));
  }
  return given;
}

/// What require_taken says of values for the optimizer "idle"; empty if it takes them.
std::string refusal_of_values(const std::vector<std::string>& texts) {
  try {
    require_taken(given_values(texts), {idle_component()});
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "";
}

TEST(GivenValues, AreReadAsInToml) {
  const GivenValue number = parse_given("idle.steps=4");
  EXPECT_EQ(number.component, "idle");
  EXPECT_EQ(number.parameter, "steps");
  EXPECT_EQ(number.value, Value(int64_t{4}));
  EXPECT_EQ(parse_given("widths=[1, 2]").value, Value(std::vector<int64_t>{1, 2}));
  EXPECT_EQ(parse_given("path=/a=b").value, Value("/a=b")) << "what is no TOML is a text";
  EXPECT_EQ(parse_given("path=").value, Value(""));
  for (const char* wrong : {"steps", "=3", "a.b.c=1", ""}) {
    EXPECT_THROW(parse_given(wrong), Error) << wrong;
  }
}

TEST(GivenValues, AreTakenByWhatDeclaresThem) {
  EXPECT_EQ(refusal_of_values({"lr=1", "idle.scope=layer", "clip=0.5"}), "");
  EXPECT_EQ(refusal_of_values({"step=4"}),
            "--set step=4: no component of the library has a parameter \"step\"; did you mean "
            "\"steps\"?");
  EXPECT_EQ(refusal_of_values({"idel.steps=4"}),
            "--set idel.steps=4: the library has no component \"idel\"; did you mean \"idle\"?");
  EXPECT_NE(refusal_of_values({"steps=0"}).find("it wants"), std::string::npos);
  EXPECT_NE(refusal_of_values({"scope=3"}).find("a text in quotes is one: --set 'scope=\"3\"'"),
            std::string::npos);
}

TEST(GivenValues, AreRefusedTogetherByTheComponentsRules) {
  EXPECT_EQ(refusal_of_values({"nesterov=true"}), "");
  EXPECT_EQ(refusal_of_values({"nesterov=true", "steps=1"}),
            "--set: optimizer idle refuses these values together: parameter nesterov: wants two "
            "steps");
}

TEST(TrialValues, FillWhatIsRequiredWithinItsBounds) {
  const ComponentInfo info = idle_component()->info;
  const TrialValues usual = trial_values(info, {});
  EXPECT_EQ(usual.missing, "");
  EXPECT_TRUE(usual.given.empty());
  EXPECT_EQ(usual.values.at("lr"), Value(0.5)) << "0.01 lies below its bound";
  EXPECT_EQ(usual.values.at("steps"), Value(int64_t{3}));
  const TrialValues chosen = trial_values(info, given_values({"lr=2", "other.steps=9"}));
  EXPECT_EQ(chosen.values.at("lr"), Value(2.0)) << "an integer becomes a float";
  EXPECT_EQ(chosen.values.at("steps"), Value(int64_t{3})) << "given to another component";
  EXPECT_EQ(chosen.given, std::set<std::string>{"lr"});
}

TEST(TrialValues, NameWhatNobodyCanGuess) {
  struct Options {
    std::string root;
  };
  Schema<Options> schema;
  schema.add("root", &Options::root, "where").required();
  ComponentInfo info;
  info.parameters = schema.specs();
  EXPECT_EQ(trial_values(info, {}).missing, "root");
  EXPECT_EQ(trial_values(info, given_values({"root=here"})).missing, "");
}

}  // namespace
}  // namespace bissl::host::test
