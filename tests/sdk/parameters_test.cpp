#include "bissl/parameters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace bissl {
namespace {

struct Options {
  int64_t steps = 5;
  double rate = 0.1;
  bool nesterov = false;
  std::string mode = "global";
  std::vector<double> range{0.2, 1.0};
  std::vector<std::string> layers{"stem"};
  std::optional<double> clip;
  std::string path;
};

Schema<Options> schema() {
  Schema<Options> made;
  made.add("steps", &Options::steps, "number of steps").at_least(1).unit("steps");
  made.add("rate", &Options::rate, "learning rate").more_than(0).less_than(10);
  made.add("nesterov", &Options::nesterov, "look ahead");
  made.add("mode", &Options::mode, "one solve or one per layer").choices({"global", "layerwise"});
  made.add("range", &Options::range, "low and high").at_least(0).at_most(1).length(2);
  made.add("layers", &Options::layers, "which layers").choices({"stem", "body"});
  made.add("clip", &Options::clip, "largest norm").more_than(0);
  made.add("path", &Options::path, "where").required();
  made.rule([](const Options& options, std::vector<Finding>& findings) {
    if (options.range[0] > options.range[1]) {
      findings.push_back({Finding::Severity::error, "range", "upside down"});
    }
  });
  made.rule([](const Options& options, std::vector<Finding>& findings) {
    if (options.nesterov && options.steps == 1) {
      findings.push_back({Finding::Severity::warning, "nesterov", "has no effect"});
    }
  });
  return made;
}

const ParameterSpec& spec(const std::vector<ParameterSpec>& specs, const std::string& name) {
  for (const ParameterSpec& candidate : specs) {
    if (candidate.name == name) {
      return candidate;
    }
  }
  throw std::out_of_range(name);
}

ParameterValues valid() {
  ParameterValues values = defaults(schema().specs());
  values["path"] = std::string("somewhere");
  return values;
}

TEST(Schema, TakesTypesAndDefaultsFromTheMembers) {
  const auto specs = schema().specs();
  EXPECT_EQ(spec(specs, "steps").type, ValueType::integer);
  EXPECT_EQ(spec(specs, "steps").default_value, Value(int64_t{5}));
  EXPECT_EQ(spec(specs, "steps").unit, "steps");
  EXPECT_EQ(spec(specs, "rate").default_value, Value(0.1));
  EXPECT_EQ(spec(specs, "nesterov").type, ValueType::boolean);
  EXPECT_EQ(spec(specs, "range").default_value, Value(std::vector<double>{0.2, 1.0}));
  EXPECT_EQ(spec(specs, "layers").type, ValueType::texts);
  EXPECT_EQ(spec(specs, "clip").type, ValueType::real);
  EXPECT_EQ(spec(specs, "clip").default_value, Value{});
  EXPECT_FALSE(spec(specs, "clip").required);
  EXPECT_TRUE(spec(specs, "path").required);
  EXPECT_EQ(spec(specs, "path").default_value, Value{});
  EXPECT_TRUE(faults(specs).empty());
}

TEST(Schema, ParsesEveryMember) {
  const Options standard = schema().parse(valid());
  EXPECT_EQ(standard.steps, 5);
  EXPECT_EQ(standard.clip, std::nullopt);
  EXPECT_EQ(standard.path, "somewhere");
  ParameterValues values = valid();
  values["steps"] = int64_t{9};
  values["rate"] = 0.5;
  values["nesterov"] = true;
  values["mode"] = std::string("layerwise");
  values["range"] = std::vector<double>{0.0, 0.5};
  values["layers"] = std::vector<std::string>{"body"};
  values["clip"] = 2.0;
  const Options options = schema().parse(values);
  EXPECT_EQ(options.steps, 9);
  EXPECT_EQ(options.rate, 0.5);
  EXPECT_TRUE(options.nesterov);
  EXPECT_EQ(options.mode, "layerwise");
  EXPECT_EQ(options.range, (std::vector<double>{0.0, 0.5}));
  EXPECT_EQ(options.layers, std::vector<std::string>{"body"});
  EXPECT_EQ(options.clip, 2.0);
}

TEST(Schema, RunsAllItsRules) {
  EXPECT_TRUE(schema().check(valid()).empty());
  ParameterValues values = valid();
  values["range"] = std::vector<double>{0.9, 0.1};
  values["nesterov"] = true;
  values["steps"] = int64_t{1};
  const std::vector<Finding> findings = schema().check(values);
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(findings[0].severity, Finding::Severity::error);
  EXPECT_EQ(findings[0].parameter, "range");
  EXPECT_EQ(findings[1].severity, Finding::Severity::warning);
  EXPECT_EQ(findings[1].parameter, "nesterov");
}

TEST(ParameterSpec, SaysWhatItAccepts) {
  const auto specs = schema().specs();
  EXPECT_EQ(spec(specs, "steps").accepted(), "an integer of at least 1");
  EXPECT_EQ(spec(specs, "rate").accepted(), "a float of more than 0 and less than 10");
  EXPECT_EQ(spec(specs, "nesterov").accepted(), "a boolean (true or false)");
  EXPECT_EQ(spec(specs, "mode").accepted(), "one of \"global\", \"layerwise\"");
  EXPECT_EQ(spec(specs, "range").accepted(),
            "an array of floats with 2 elements, each at least 0 and at most 1");
  EXPECT_EQ(spec(specs, "layers").accepted(),
            "an array of strings, each one of \"stem\", \"body\"");
  EXPECT_EQ(spec(specs, "path").accepted(), "a string");
}

TEST(ParameterSpec, KeepsBounds) {
  const auto specs = schema().specs();
  EXPECT_EQ(spec(specs, "steps").refusal(int64_t{1}), "");
  EXPECT_EQ(spec(specs, "steps").refusal(int64_t{0}), "is out of bounds");
  EXPECT_EQ(spec(specs, "rate").refusal(0.0), "is out of bounds");
  EXPECT_EQ(spec(specs, "rate").refusal(5e-324), "");
  EXPECT_EQ(spec(specs, "rate").refusal(10.0), "is out of bounds");
  EXPECT_EQ(spec(specs, "range").refusal(std::vector<double>{0.0, 1.0}), "");
  EXPECT_EQ(spec(specs, "clip").refusal(-1.0), "is out of bounds");
  EXPECT_EQ(spec(specs, "clip").refusal(Value{}), "");
}

TEST(ParameterSpec, RefusesWhatIsNotFinite) {
  const auto specs = schema().specs();
  EXPECT_EQ(spec(specs, "rate").refusal(std::nan("")), "is not a finite number");
  EXPECT_EQ(spec(specs, "clip").refusal(std::numeric_limits<double>::infinity()),
            "is not a finite number");
}

TEST(ParameterSpec, KeepsChoicesAndLengths) {
  const auto specs = schema().specs();
  EXPECT_EQ(spec(specs, "mode").refusal(std::string("layerwise")), "");
  EXPECT_EQ(spec(specs, "mode").refusal(std::string("local")), "is not among the choices");
  EXPECT_EQ(spec(specs, "range").refusal(std::vector<double>{0.1}), "has 1 elements");
  EXPECT_EQ(spec(specs, "range").refusal(std::vector<double>{0.1, 1.5}),
            "has an element (1.5) that is out of bounds");
  EXPECT_EQ(spec(specs, "layers").refusal(std::vector<std::string>{"body", "tail"}),
            "has an element (\"tail\") that is not among the choices");
}

TEST(Defaults, HoldEveryParameter) {
  const ParameterValues values = defaults(schema().specs());
  EXPECT_EQ(values.size(), 8U);
  EXPECT_EQ(values.at("mode"), Value(std::string("global")));
  EXPECT_EQ(values.at("path"), Value{});
  EXPECT_EQ(values.at("clip"), Value{});
}

TEST(Faults, FindEachMistakeOfADeclaration) {
  struct Mistakes {
    int64_t steps = 0;
    double rate = 1.0;
    std::string mode = "neither";
  };
  Schema<Mistakes> wrong;
  wrong.add("steps", &Mistakes::steps, "number of steps").at_least(1);
  wrong.add("steps", &Mistakes::steps, "again");
  wrong.add("Rate", &Mistakes::rate, "learning rate");
  wrong.add("use", &Mistakes::rate, "reserved");
  wrong.add("mode", &Mistakes::mode, "").choices({"one", "other"});
  const std::vector<std::string> expected{
      "parameter \"steps\": the default 0 is out of bounds",
      "parameter \"steps\": declared twice",
      "parameter \"Rate\": the name is not in lower_case",
      "parameter \"use\": the name is reserved",
      "parameter \"mode\": no documentation",
      "parameter \"mode\": the default \"neither\" is not among the choices"};
  EXPECT_EQ(faults(wrong.specs()), expected);
}

}  // namespace
}  // namespace bissl
