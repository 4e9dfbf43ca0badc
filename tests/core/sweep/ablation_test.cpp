#include "sweep/ablation.h"

#include "pipeline/metric_name.h"
#include "pipeline/toml_parser.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>

namespace bissl::host::test {
namespace {

ConfigNode value(const std::string& text) { return *parse_toml_value(text, {"test", 1, 1}); }

std::optional<Ablation> read(const std::string& text) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "study.toml";
  write_file(file, "pipeline = \"p.toml\"\nmetric = \"f.test.top1\"\n" + text);
  DiagnosticCollector diagnostics;
  std::optional<Ablation> ablation = read_ablation(file, diagnostics);
  EXPECT_EQ(to_text(diagnostics.sorted(file.string())), "");
  return ablation;
}

/// All that is wrong with a file that says nothing but this, without the folder.
std::string faults(const std::string& text) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "study.toml";
  write_file(file, text);
  DiagnosticCollector diagnostics;
  EXPECT_FALSE(read_ablation(file, diagnostics)) << text;
  std::string said = to_text(diagnostics.sorted(file.string()));
  const std::string prefix = folder.path().string() + "/";
  for (size_t at = said.find(prefix); at != std::string::npos; at = said.find(prefix)) {
    said.erase(at, prefix.size());
  }
  return said;
}

TEST(AblationFile, IsReadByItsDeclaration) {
  EXPECT_EQ(
      faults("goal = \"up\"\nstage = [\"f\"]\nmetric = 3\n[set]\n[axes]\nseed = [0]\n"
             "[search]\ndraws = 0.5\nper_seed = 1\n"
             "stage.f.lr = { uniform = [0, 1] }\n[zip]\nseed = [1]\n"),
      "study.toml:1:1: error: pipeline: this required key is missing; accepted: the path of a "
      "pipeline's TOML file, relative to this one\n"
      "study.toml:1:8: error: goal: \"up\" is not among the choices; accepted: one of "
      "\"max\", \"min\"\n"
      "study.toml:2:1: error: stage: unknown key; accepted: \"name\", \"pipeline\", "
      "\"metric\", \"reference\", \"goal\", \"stages\", \"tasks\", \"include\", \"unset\", "
      "\"set\", \"axes\", \"zip\", \"exclude\", \"baseline\", \"search\"; did you mean "
      "\"stages\"?\n"
      "study.toml:3:10: error: metric: 3 is an integer; accepted: " +
          std::string(metric_form) +
          ", or several of them\n"
          "study.toml:7:1: error: search.select: this required key is missing; accepted: " +
          metric_form +
          "\n"
          "study.toml:8:9: error: search.draws: 0.5 is a float; accepted: an integer of at "
          "least 1 and at most 10000\n"
          "study.toml:9:12: error: search.per_seed: 1 is an integer; accepted: a boolean "
          "(true or false)\n"
          "study.toml:11:1: error: zip: a table was given; accepted: tables [[zip]] with keys "
          "of the pipeline with lists of one length\n");
}

TEST(AblationFile, APathWithANulCharacterIsNone) {
  EXPECT_EQ(faults("pipeline = \"p.toml\\u0000x\"\nmetric = \"f.test.top1\"\n[axes]\nseed = [0]\n"),
            "study.toml:1:12: error: pipeline: \"p.toml\\u0000x\" holds a NUL character, which no "
            "path can hold\n");
}

TEST(AblationFile, TakesOneMetricOrSeveral) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "study.toml";
  for (const auto& [metric, count] :
       {std::pair("\"f.t.a\"", 1U), std::pair("[\"f.t.a\", \"f.t.b\"]", 2U)}) {
    write_file(file, std::string("pipeline = \"sub/p.toml\"\nmetric = ") + metric +
                         "\nstages = \"f\"\n[axes]\nseed = [0]\n");
    DiagnosticCollector diagnostics;
    const std::optional<Ablation> ablation = read_ablation(file, diagnostics);
    ASSERT_TRUE(ablation) << to_text(diagnostics.sorted(""));
    EXPECT_EQ(ablation->metrics.size(), count);
    EXPECT_EQ(ablation->pipeline, folder.path() / "sub/p.toml");
    EXPECT_EQ(ablation->stages, std::vector<std::string>{"f"});
    EXPECT_EQ(ablation->name, "study");
  }
}

TEST(AblationFile, DottedKeysAndTablesSayTheSame) {
  const auto quoted = read("[axes]\n\"stage.a.lambda\" = [1, 2]\nseed = [0]\n");
  const auto bare = read("[axes]\nstage.a.lambda = [1, 2]\nseed = [0]\n");
  ASSERT_TRUE(quoted && bare);
  ASSERT_EQ(bare->axes.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(bare->axes[i].keys, quoted->axes[i].keys);
    EXPECT_EQ(bare->axes[i].name, quoted->axes[i].name);
  }
  EXPECT_EQ(quoted->axes[0].name, "lambda");
  EXPECT_TRUE(quoted->axes[1].is_seed);
  EXPECT_EQ(quoted->name, "study");
}

TEST(AblationFile, NamesWithDotsStayWhole) {
  for (const char* axes :
       {"[axes]\n'stage.\"a.b\".steps' = [1]\n'data.\"t-10.1\".limit' = [1]\n",
        "[axes]\nstage.\"a.b\".steps = [1]\ndata.\"t-10.1\".limit = [1]\n",
        "[axes.stage.\"a.b\"]\nsteps = [1]\n[axes.data]\n\"t-10.1\".limit = [1]\n"}) {
    const auto ablation = read(axes);
    ASSERT_TRUE(ablation) << axes;
    ASSERT_EQ(ablation->axes.size(), 2U) << axes;
    EXPECT_EQ(parse_toml_key(ablation->axes[0].keys[0]),
              (std::vector<std::string>{"stage", "a.b", "steps"}));
    EXPECT_EQ(parse_toml_key(ablation->axes[1].keys[0]),
              (std::vector<std::string>{"data", "t-10.1", "limit"}));
  }
}

TEST(AblationFile, NamesAreAsLongAsNeeded) {
  const auto ablation = read(
      "[axes]\n\"stage.a.optimizer.lr\" = [1.0]\n\"stage.b.optimizer.lr\" = [1.0]\n"
      "\"stage.b.lambda\" = [1.0]\n");
  ASSERT_TRUE(ablation);
  EXPECT_EQ(ablation->axes[0].name, "a.optimizer.lr");
  EXPECT_EQ(ablation->axes[1].name, "b.optimizer.lr");
}

TEST(AblationFile, TheGoalFollowsTheMetric) {
  EXPECT_EQ(read("[axes]\nseed = [0]\n")->maximise, std::nullopt);
  EXPECT_EQ(read("goal = \"min\"\n[axes]\nseed = [0]\n")->maximise, false);
  EXPECT_EQ(read("goal = \"max\"\n[axes]\nseed = [0]\n")->maximise, true);
}

TEST(AblationFile, TheBaselineIsFoundByPartOfItsValue) {
  const auto ablation = read(
      "[axes]\n\"stage.a.h\" = [{ use = \"x\" }, { use = \"y\", n = 3 }]\nseed = [4, 5]\n"
      "[baseline]\n\"stage.a.h\" = { use = \"y\" }\n");
  ASSERT_TRUE(ablation);
  EXPECT_EQ(ablation->baseline[0], 1U);
  EXPECT_FALSE(ablation->baseline[1]);
}

TEST(AblationFile, TheBaselineHasAllValuesThatAreGivenForAnAxis) {
  const std::string zip =
      "[[zip]]\n\"stage.a.n\" = [1, 1, 2]\n\"stage.a.m\" = [3, 4, 3]\n[baseline]\n";
  for (const auto& [values, choice] : {std::pair("\"stage.a.n\" = 2\n\"stage.a.m\" = 3\n", 2U),
                                       {"\"stage.a.m\" = 3\n\"stage.a.n\" = 2\n", 2U},
                                       {"\"stage.a.n\" = 1\n\"stage.a.m\" = 4\n", 1U},
                                       {"\"stage.a.m\" = 4\n", 1U}}) {
    const auto ablation = read(zip + values);
    ASSERT_TRUE(ablation) << values;
    EXPECT_EQ(ablation->baseline[0], choice) << values;
  }
  const std::string said = faults("pipeline = \"p.toml\"\nmetric = \"f.test.top1\"\n" + zip +
                                  "\"stage.a.n\" = 2\n\"stage.a.m\" = 4\n");
  EXPECT_NE(said.find("no choice of the axis has 4 and what is given for its other keys"),
            std::string::npos)
      << said;
}

TEST(AblationFile, MatchesByContent) {
  const ConfigNode component = value("{ use = \"cg\", iterations = 3, damping = 1.0 }");
  EXPECT_TRUE(matches(component, value("{ use = \"cg\" }")));
  EXPECT_TRUE(matches(component, value("\"cg\"")));
  EXPECT_TRUE(matches(component, value("{ damping = 1 }")));
  EXPECT_FALSE(matches(component, value("{ use = \"cg\", iterations = 4 }")));
  EXPECT_FALSE(matches(component, value("{ other = 1 }")));
  EXPECT_TRUE(matches(value("[1, 2]"), value("[1.0, 2.0]")));
  EXPECT_FALSE(matches(value("[1, 2]"), value("[1]")));
  EXPECT_FALSE(matches(value("true"), value("1")));
}

/// What is said of a file that is read all the same.
std::string doubts(const std::string& text) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "study.toml";
  write_file(file, "pipeline = \"p.toml\"\nmetric = \"f.test.top1\"\n" + text);
  DiagnosticCollector diagnostics;
  read_ablation(file, diagnostics);
  return to_text(diagnostics.sorted(file.string()));
}

TEST(AblationFile, SeedsInAZipAreRepetitions) {
  for (const char* others :
       {"\"data.l.subset_seed\" = [0, 1, 2]", "\"data.l.seed\" = [5, 6, 7]",
        "\"data.l.subset_seed\" = [0, 1, 2]\n\"data.u.subset_seed\" = [3, 4, 5]",
        "data.l.subset_seed = [7, 7, 8]", "\"stage.f.steps\" = [5, 5, 5]"}) {
    const auto ablation = read(std::string("[[zip]]\n") + others + "\nseed = [0, 1, 2]\n");
    ASSERT_TRUE(ablation) << others;
    ASSERT_EQ(ablation->axes.size(), 1U);
    EXPECT_TRUE(ablation->axes[0].is_seed) << others;
    EXPECT_FALSE(ablation->baseline[0]);
  }
}

TEST(AblationFile, ASeedThatGoesWithAFactorIsNoRepetition) {
  for (const char* factor : {"\"stage.f.lambda\" = [0.1, 0.2]", "\"stage.f.steps\" = [1, 2]",
                             "\"data.l.subset_seed\" = [0, 1]\n\"data.l.limit\" = [10, 20]"}) {
    const std::string said = doubts(std::string("[[zip]]\nseed = [0, 1]\n") + factor + "\n");
    EXPECT_NE(said.find("study.toml:4:1: warning: zip.seed: the seed changes together with"),
              std::string::npos)
        << said;
  }
  const auto without = read("[[zip]]\n\"data.l.subset_seed\" = [0, 1]\n\"data.u.seed\" = [0, 1]\n");
  ASSERT_TRUE(without);
  EXPECT_FALSE(without->axes[0].is_seed);  // the pipeline's seed is not among them
}

TEST(AblationFile, OnlyEqualValuesStandTwice) {
  for (const char* list : {"[0.1, 0.1]", "[1, 1.0]", "[[1, 2], [1.0, 2.0]]",
                           "[{ use = \"x\", a = 1, b = 2 }, { use = \"x\", b = 2, a = 1 }]"}) {
    EXPECT_NE(doubts(std::string("[axes]\n\"stage.f.a\" = ") + list + "\n").find("is given twice"),
              std::string::npos)
        << list;
  }
  EXPECT_TRUE(read("[axes]\n\"stage.f.a\" = [0.1234567, 0.1234568]\n"));
  EXPECT_TRUE(
      read("[[zip]]\n\"stage.f.a\" = [\"1+2\", \"1\"]\n\"stage.f.b\" = [\"3\", \"2+3\"]\n"));
}

TEST(RandomSearch, DrawsAreAFunctionOfSeedKeyAndNumber) {
  Distribution distribution;
  distribution.kind = Distribution::Kind::log_uniform;
  distribution.low = 1e-4;
  distribution.high = 1.0;
  const auto draw = [&](uint64_t seed, const std::string& key, int64_t number) {
    return std::get<double>(distribution.draw(seed, key, number, {}).scalar);
  };
  EXPECT_EQ(draw(0, "a", 3), draw(0, "a", 3));
  EXPECT_NE(draw(0, "a", 3), draw(1, "a", 3));
  EXPECT_NE(draw(0, "a", 3), draw(0, "b", 3));
  // Even in the logarithm: a quarter of the draws lies in each of the four decades.
  std::vector<int> decades(4);
  for (int64_t number = 0; number < 4000; ++number) {
    const double drawn = draw(0, "a", number);
    ASSERT_GE(drawn, 1e-4);
    ASSERT_LT(drawn, 1.0);
    ++decades[static_cast<size_t>(std::floor(std::log10(drawn))) + 4];
  }
  for (const int count : decades) {
    EXPECT_NEAR(count, 1000, 137);  // five standard deviations
  }
}

TEST(RandomSearch, UniformAndChoice) {
  Distribution uniform;
  uniform.low = -1;
  uniform.high = 3;
  Distribution choice;
  choice.kind = Distribution::Kind::choice;
  choice.choices = {value("1"), value("2"), value("4")};
  double sum = 0;
  std::vector<int> counts(5);
  for (int64_t number = 0; number < 3000; ++number) {
    sum += std::get<double>(uniform.draw(0, "u", number, {}).scalar);
    ++counts[static_cast<size_t>(std::get<int64_t>(choice.draw(0, "c", number, {}).scalar))];
  }
  EXPECT_NEAR(sum / 3000, 1.0, 5 * 4 / std::sqrt(12 * 3000));
  for (const size_t one : {1, 2, 4}) {
    EXPECT_NEAR(counts[one], 1000, 130);
  }
}

}  // namespace
}  // namespace bissl::host::test
