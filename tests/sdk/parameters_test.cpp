#include "bissl/parameters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {
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
  EXPECT_EQ(spec(specs, "layers").type, ValueType::strings);
  EXPECT_EQ(spec(specs, "clip").type, ValueType::floating);
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

struct Solver {
  std::string form = "global";
  std::string preconditioner = "none";
  int64_t probes = 5;
  double weight_decay = 0;
  bool decay_1d = true;
  std::optional<double> step;
  double damping = 10;
  std::optional<int64_t> limit;
  std::optional<int64_t> per_class;
  int64_t skip = 0;
  int64_t subset_seed = 0;
};

Schema<Solver> solver_schema() {
  Schema<Solver> made;
  made.add("form", &Solver::form, "of the solve").choices({"global", "layerwise"});
  made.add("preconditioner", &Solver::preconditioner, "scales")
      .choices({"none", "diagonal", "block"})
      .only_with("form", "global");
  made.add("probes", &Solver::probes, "how many")
      .only_with("preconditioner", {"diagonal", "block"});
  made.add("weight_decay", &Solver::weight_decay, "penalty");
  made.add("decay_1d", &Solver::decay_1d, "of biases, too").only_above("weight_decay", 0);
  made.add("step", &Solver::step, "length");
  made.add("damping", &Solver::damping, "in the default of step").only_without("step");
  made.add("limit", &Solver::limit, "at most");
  made.add("per_class", &Solver::per_class, "of each");
  made.add("skip", &Solver::skip, "of each, first");
  made.add("subset_seed", &Solver::subset_seed, "which")
      .only_with_any({"limit", "per_class", "skip"});
  return made;
}

/// The warnings for these values, all of which are given.
std::vector<std::string> idle(const ParameterValues& changes) {
  const auto specs = solver_schema().specs();
  ParameterValues values = defaults(specs);
  std::set<std::string> given;
  for (const auto& [name, value] : changes) {
    values.at(name) = value;
    given.insert(name);
  }
  std::vector<std::string> found;
  for (const Finding& finding : findings_without_effect(specs, values, given)) {
    EXPECT_EQ(finding.severity, Finding::Severity::warning);
    found.push_back(finding.parameter + " " + finding.message);
  }
  return found;
}

TEST(WithoutEffect, NamesTheValueThatMakesItSo) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(solver_schema().check(defaults(solver_schema().specs())).size(), 0U);
  EXPECT_EQ(idle({}), Texts{});
  EXPECT_EQ(idle({{"probes", int64_t{9}}}),
            Texts{"probes has no effect with preconditioner = \"none\""});
  EXPECT_EQ(idle({{"probes", int64_t{9}}, {"preconditioner", std::string("block")}}), Texts{});
  EXPECT_EQ(idle({{"decay_1d", false}}), Texts{"decay_1d has no effect with weight_decay = 0"});
  EXPECT_EQ(idle({{"decay_1d", false}, {"weight_decay", 0.1}}), Texts{});
  EXPECT_EQ(idle({{"damping", 1.0}, {"step", 0.1}}),
            Texts{"damping has no effect when step is given"});
  EXPECT_EQ(idle({{"damping", 1.0}}), Texts{});
  EXPECT_EQ(idle({{"subset_seed", int64_t{1}}}),
            Texts{"subset_seed has no effect without limit, per_class or skip"});
  EXPECT_EQ(idle({{"subset_seed", int64_t{1}}, {"per_class", int64_t{5}}}), Texts{});
  EXPECT_EQ(idle({{"subset_seed", int64_t{1}}, {"skip", int64_t{5}}}), Texts{});
  EXPECT_EQ(idle({{"subset_seed", int64_t{1}}, {"skip", int64_t{0}}}).size(), 1U);
}

TEST(WithoutEffect, KnowsWhatWasGivenNotOnlyWhatDiffers) {
  EXPECT_EQ(idle({{"probes", int64_t{5}}}),
            std::vector<std::string>{"probes has no effect with preconditioner = \"none\""})
      << "5 is the default";
}

TEST(WithoutEffect, FollowsConditionsOfConditions) {
  EXPECT_EQ(idle({{"form", std::string("layerwise")},
                  {"preconditioner", std::string("diagonal")},
                  {"probes", int64_t{9}}}),
            (std::vector<std::string>{"preconditioner has no effect with form = \"layerwise\"",
                                      "probes has no effect with form = \"layerwise\""}));
}

TEST(WithoutEffect, IsSaidInWords) {
  const auto specs = solver_schema().specs();
  EXPECT_EQ(spec(specs, "probes").only_with.at(0).text(),
            "with preconditioner = \"diagonal\" or \"block\"");
  EXPECT_EQ(spec(specs, "decay_1d").only_with.at(0).text(), "with weight_decay of more than 0");
  EXPECT_EQ(spec(specs, "damping").only_with.at(0).text(), "without step");
  EXPECT_EQ(spec(specs, "subset_seed").only_with.at(0).text(), "with limit, per_class or skip");
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

TEST(ParameterSpec, ListsMayBeGivenAsOneValue) {
  struct Lists {
    std::vector<std::string> metric;
    std::vector<int64_t> steps;
    std::string one;
  };
  Schema<Lists> lists;
  lists.add("metric", &Lists::metric, "which").or_one();
  lists.add("steps", &Lists::steps, "when").or_one().accepts("some steps");
  lists.add("one", &Lists::one, "no list").or_one();
  EXPECT_EQ(lists.specs()[0].accepted(), "a string or an array of strings");
  EXPECT_EQ(lists.specs()[1].accepted(), "some steps");
  EXPECT_TRUE(lists.specs()[0].accepts_one());
  EXPECT_EQ(lists.specs()[0].element_type(), ValueType::string);
  EXPECT_EQ(
      faults(lists.specs()),
      std::vector<std::string>{"parameter \"one\": only an array can be given as a single value"});
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
  wrong.add("host", &Mistakes::rate, "reserved");
  wrong.add("mode", &Mistakes::mode, "").choices({"one", "other"});
  const std::vector<std::string> expected{
      "parameter \"steps\": the default 0 is out of bounds",
      "parameter \"steps\": declared twice",
      "parameter \"Rate\": the name is not in lower_case",
      "parameter \"use\": the name is reserved",
      "parameter \"host\": the name is reserved",
      "parameter \"mode\": no documentation",
      "parameter \"mode\": the default \"neither\" is not among the choices"};
  EXPECT_EQ(faults(wrong.specs()), expected);
}

TEST(Faults, FindFormerNamesThatCannotBe) {
  struct Renamed {
    int64_t steps = 1;
    double rate = 1.0;
  };
  Schema<Renamed> wrong;
  wrong.add("steps", &Renamed::steps, "a").formerly("length").formerly("iterations");
  wrong.add("rate", &Renamed::rate, "b").formerly("Rate").formerly("steps").formerly("length");
  EXPECT_EQ(wrong.specs()[0].former_names(), (std::vector<std::string>{"length", "iterations"}));
  EXPECT_EQ(
      faults(wrong.specs()),
      (std::vector<std::string>{"parameter \"rate\": the former name \"Rate\" is not in lower_case",
                                "parameter \"rate\": the former name \"steps\" is taken",
                                "parameter \"rate\": the former name \"length\" is taken"}));
}

TEST(Faults, FindConditionsThatCannotBe) {
  struct Mistakes {
    std::string mode = "one";
    int64_t number = 1;
    std::optional<int64_t> perhaps;
  };
  Schema<Mistakes> wrong;
  wrong.add("mode", &Mistakes::mode, "mode").choices({"one", "other"}).only_above("number", 0);
  wrong.add("number", &Mistakes::number, "a").required().only_with("mode", "one");
  wrong.add("third", &Mistakes::number, "b").only_with("mode", "two");
  wrong.add("fourth", &Mistakes::number, "c").only_with("nothing", 1);
  wrong.add("fifth", &Mistakes::number, "d").only_above("mode", 0);
  wrong.add("sixth", &Mistakes::number, "e").only_without("third");
  wrong.add("seventh", &Mistakes::number, "f").names_data();
  wrong.add("eighth", &Mistakes::perhaps, "g").only_with_any({"eighth"});
  EXPECT_EQ(
      faults(wrong.specs()),
      (std::vector<std::string>{
          "parameter \"number\": it must always be given, so it cannot depend on others",
          "parameter \"third\": it depends on mode = \"two\", a value that it cannot have",
          "parameter \"fourth\": it depends on \"nothing\", which is no other parameter of the "
          "declaration",
          "parameter \"fifth\": it depends on how much \"mode\" is, which is no number",
          "parameter \"sixth\": it depends on whether \"third\" is given, which always has a value",
          "parameter \"seventh\": only a string can name a data source",
          "parameter \"eighth\": it depends on \"eighth\", which is no other parameter of the "
          "declaration"}));
}

}  // namespace
}  // namespace bissl::host
