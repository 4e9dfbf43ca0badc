// A kind of stage that the host does not know: nothing but this file is needed for it to be read,
// run, kept, scored and reported.

#include "stages/stage_kind.h"

#include "bissl/error.h"
#include "data/selection.h"
#include "pipeline/component_source.h"
#include "pipeline/reader.h"
#include "plugins/search.h"
#include "report/gather.h"
#include "stages/check.h"
#include "stages/networks.h"
#include "stages/option_schemas.h"
#include "stages/runner.h"
#include "stages/trial.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

struct Options {
  std::vector<std::string> data;
  double level = 0.5;
  bool by_size = false;
  bool link = false;
};

const Schema<Options>& schema() {
  static const Schema<Options> schema = [] {
    Schema<Options> s;
    s.add("data", &Options::data, "what is scored").required().names_data();
    s.add("level", &Options::level, "the score").at_least(0);
    s.add("by_size", &Options::by_size, "score with the number of samples instead");
    s.add("link", &Options::link, "leave a link in the folder, which keeps it out of a store");
    return s;
  }();
  return schema;
}

class ConstantTrial : public StageTrial {
 public:
  using StageTrial::StageTrial;
  void build() override {}
  void judge_images() override {}
  void judge_batches() override {}
  void judge_length() override {}
  void step() override {}
  void estimate() override { plan().seconds = 1; }
  void score() override {
    for (const DataUse& use : stage_kind("constant").data(context().stage)) {
      plan().metrics.push_back({.data = use.name, .metric = "level", .higher_is_better = false});
    }
  }
};

/// "constant": scores every source with the same number, or with that of its samples.
class ConstantKind : public StageKind {
 public:
  ConstantKind() {
    spec_.name = "constant";
    spec_.summary = "scores with a constant";
    spec_.table = table_of(schema());
  }
  const StageKindSpec& spec() const override { return spec_; }
  std::vector<DataUse> data(const Stage& stage) const override {
    std::vector<DataUse> uses;
    for (const std::string& name : schema().parse(stage.table.values).data) {
      uses.push_back({.name = name, .scores = true});
    }
    return uses;
  }
  StageResults run(const StageContext& context) const override {
    const Options options = schema().parse(context.stage.table.values);
    StageResults results;
    for (const std::string& data : options.data) {
      const double level =
          options.by_size ? static_cast<double>(context.data.open(data)->size()) : options.level;
      results.metrics.push_back(summarised(
          {.data = data, .metric = "level", .higher_is_better = false, .values = {level}}));
    }
    if (options.link) {
      std::filesystem::create_symlink("/", context.folder / "link");
    }
    results.details = {{"answer", 42}};
    return results;
  }
  std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                    bool measure) const override {
    return std::make_unique<ConstantTrial>(context, plan, measure);
  }

 private:
  StageKindSpec spec_;
};

void add_constant_kind() {
  static const ConstantKind kind;
  static std::once_flag once;
  std::call_once(once, [] { add_stage_kind(kind); });
}

TEST(StageKind, ANewOneNeedsNoOtherFile) {
  add_constant_kind();
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "p.toml";
  write_file(file, R"(name = "p"
[data.a]
use = "synthetic"
samples = 4
size = 8
[data.b]
use = "synthetic"
samples = 6
size = 8
[model.backbone]
use = "resnet18"
[stage.flat]
kind = "constant"
data = ["a", "b"]
level = 0.25
)");
  Registry registry;
  PluginSearch search(registry, {}, /*third_party=*/false);
  RegistrySource components(search);
  const TableSpec selection = selection_spec();
  const ReadResult read = read_pipeline({.file = file,
                                         .overrides = {},
                                         .components = components,
                                         .stage_kinds = stage_kinds(),
                                         .data_selection = selection});
  ASSERT_TRUE(read.pipeline) << to_text(read.diagnostics);

  RunOptions options;
  options.out = folder.path() / "runs";
  const std::vector<StagePlan> plans = check_pipeline(
      {.pipeline = *read.pipeline, .settings = options.settings, .out = options.out});
  ASSERT_EQ(plans.size(), 1U);
  EXPECT_EQ(plans[0].errors, std::vector<std::string>{});
  ASSERT_EQ(plans[0].metrics.size(), 2U);
  EXPECT_EQ(plans[0].metrics[1].name(), "b.level");

  const RunOutcome outcome = run_pipeline(*read.pipeline, options);
  const RunResults results = read_run_results(outcome.folder);
  const MetricResult* level = results.find("flat.b.level");
  ASSERT_NE(level, nullptr);
  EXPECT_EQ(level->mean, 0.25);
  EXPECT_EQ(level->higher_is_better, false);
  EXPECT_EQ(results.stages.at("flat").details, nlohmann::json({{"answer", 42}}));
  EXPECT_TRUE(run_pipeline(*read.pipeline, options).stages[0].reused);

  const ReportData data = gather({outcome.folder}, "");
  EXPECT_EQ(data.metrics, (std::vector<std::string>{"a.level", "b.level"}));
  EXPECT_EQ(data.higher_is_better, false);
  ASSERT_EQ(data.observations.size(), 1U);
  EXPECT_EQ(data.observations[0].metrics.at("a.level"), 0.25);
}

/// A pipeline with a stage of kind "constant" on two sources, of 4 and 6 samples.
class ConstantStage : public testing::Test {
 protected:
  ConstantStage() {
    add_constant_kind();
    options_.out = folder_.path() / "runs";
  }

  ReadResult read(const std::string& first, const std::string& second, const std::string& more) {
    write_file(file_, fmt::format(R"(name = "p"
[data.{0}]
use = "synthetic"
samples = 4
size = 8
[data.{1}]
use = "synthetic"
samples = 6
size = 8
[model.backbone]
use = "resnet18"
[stage.flat]
kind = "constant"
data = ["{0}", "{1}"]
{2}
)",
                                  first, second, more));
    return read_pipeline({.file = file_,
                          .overrides = {},
                          .components = components_,
                          .stage_kinds = stage_kinds(),
                          .data_selection = selection_});
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "p.toml";
  Registry registry_;
  PluginSearch search_{registry_, {}, /*third_party=*/false};
  RegistrySource components_{search_};
  TableSpec selection_ = selection_spec();
  RunOptions options_;
};

/// No names of data sources are in the key, so those of what is in the store may be other ones.
TEST_F(ConstantStage, IsTakenFromTheStoreWithTodaysNamesOfItsSources) {
  std::string key;
  for (const auto& [four, six] :
       std::vector<std::pair<std::string, std::string>>{{"a", "b"}, {"b", "a"}, {"d", "c"}}) {
    const ReadResult result = read(four, six, "by_size = true");
    ASSERT_TRUE(result.pipeline) << to_text(result.diagnostics);
    const RunOutcome outcome = run_pipeline(*result.pipeline, options_);
    const StageOutcome& stage = outcome.stages.at(0);
    EXPECT_EQ(stage.reused, !key.empty());
    key = key.empty() ? stage.key : key;
    EXPECT_EQ(stage.key, key);
    const RunResults results = read_run_results(outcome.folder);
    const MetricResult* of_four = results.find("flat." + four + ".level");
    const MetricResult* of_six = results.find("flat." + six + ".level");
    ASSERT_NE(of_four, nullptr);
    ASSERT_NE(of_six, nullptr);
    EXPECT_EQ(of_four->mean, 4.0);
    EXPECT_EQ(of_six->mean, 6.0);
  }
}

/// Whoever continues a stage that could not be published needs its seconds and its threads.
TEST_F(ConstantStage, KeepsTheRecordOfItsWorkUntilItIsPublished) {
  const ReadResult result = read("a", "b", "link = true");
  ASSERT_TRUE(result.pipeline) << to_text(result.diagnostics);
  EXPECT_THROW(run_pipeline(*result.pipeline, options_), Error);
  std::filesystem::path partial;
  for (const auto& entry : std::filesystem::directory_iterator(options_.out / ".store")) {
    partial = entry.path().extension() == ".partial" ? entry.path() : partial;
  }
  EXPECT_TRUE(std::filesystem::exists(partial / "results.json")) << partial;
  EXPECT_TRUE(std::filesystem::exists(partial / "work.json")) << partial;
}

struct GivenOptions {
  std::string file;
};

const Schema<GivenOptions>& given_schema() {
  static const Schema<GivenOptions> schema = [] {
    Schema<GivenOptions> s;
    s.add("file", &GivenOptions::file, "where the weights come from").required().path();
    return s;
  }();
  return schema;
}

class GivenTrial : public StageTrial {
 public:
  using StageTrial::StageTrial;
  void build() override {
    hand_on(backbone_file, make_backbone(context(), {1, 8, 8}, 0)->module());
  }
  void judge_images() override {}
  void judge_batches() override {}
  void judge_length() override {}
  void step() override {}
  void estimate() override { plan().seconds = 1; }
};

/// "given": takes a backbone's weights from elsewhere, here from a seed in a file.
class GivenKind : public StageKind {
 public:
  GivenKind() {
    spec_.name = "given";
    spec_.summary = "takes weights from a file";
    spec_.table = table_of(given_schema());
    spec_.hands_on = {"backbone"};
    spec_.is_root = true;
  }
  const StageKindSpec& spec() const override { return spec_; }
  std::vector<DataUse> data(const Stage& /*stage*/) const override { return {}; }
  std::vector<std::string> files(const Stage& stage) const override {
    return {given_schema().parse(stage.table.values).file};
  }
  StageResults run(const StageContext& context) const override {
    const uint64_t seed = std::stoull(read_file(files(context.stage).front()));
    save_weights(context.folder, backbone_file, make_backbone(context, {1, 8, 8}, seed)->module());
    return {};
  }
  std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                    bool measure) const override {
    return std::make_unique<GivenTrial>(context, plan, measure);
  }

 private:
  StageKindSpec spec_;
};

TEST(StageKind, OneThatTakesWeightsFromAFileNeedsNoOtherFile) {
  static const GivenKind kind;
  add_stage_kind(kind);
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "p.toml";
  write_file(folder.path() / "weights", "7");
  write_file(file, R"(name = "p"
[data.a]
use = "synthetic"
samples = 24
size = 8
[data.b]
use = "synthetic"
split = "test"
samples = 12
size = 8
[model.backbone]
use = "resnet18"
width = 4
[stage.given]
kind = "given"
file = "weights"
[stage.near]
kind = "knn"
from = "given"
bank = "a"
data = "b"
k = 3
augment = { use = "evaluation", size = 8 }
)");
  Registry registry;
  PluginSearch search(registry, {}, /*third_party=*/false);
  RegistrySource components(search);
  const TableSpec selection = selection_spec();
  const auto read = [&](std::vector<std::string> overrides) {
    return read_pipeline({.file = file,
                          .overrides = std::move(overrides),
                          .components = components,
                          .stage_kinds = stage_kinds(),
                          .data_selection = selection});
  };
  const ReadResult from_scratch = read({"stage.given.from=scratch"});
  EXPECT_TRUE(from_scratch.pipeline) << to_text(from_scratch.diagnostics);
  EXPECT_FALSE(read({"stage.given.from=near"}).pipeline) << "it continues no stage";
  const ReadResult result = read({});
  ASSERT_TRUE(result.pipeline) << to_text(result.diagnostics);

  RunOptions options;
  options.out = folder.path() / "runs";
  const std::vector<StagePlan> plans = check_pipeline(
      {.pipeline = *result.pipeline, .settings = options.settings, .out = options.out});
  for (const StagePlan& plan : plans) {
    EXPECT_EQ(plan.errors, std::vector<std::string>{});
  }
  const auto stages = [&] { return run_pipeline(*result.pipeline, options).stages; };
  const std::vector<StageOutcome> first = stages();
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[1].results.metrics.size(), 1U);
  EXPECT_TRUE(stages()[0].reused);
  write_file(folder.path() / "weights", "8");
  const std::vector<StageOutcome> other = stages();
  EXPECT_NE(other[0].key, first[0].key) << "the file's content is part of the key";
  EXPECT_NE(other[1].key, first[1].key);
}

TEST(StageKind, AnUnknownOneIsAFaultOfTheCaller) { EXPECT_THROW(stage_kind("nothing"), Error); }

}  // namespace
}  // namespace bissl::host::test
