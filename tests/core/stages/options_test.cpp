#include "stages/options.h"

#include "bissl/error.h"
#include "pipeline/table_reader.h"
#include "stages/batch_statistics.h"
#include "stages/bissl/options.h"
#include "stages/finetune/options.h"
#include "stages/pretrain/options.h"
#include "stages/scoring.h"
#include "stages/stage_kind.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <variant>

namespace bissl::host {
namespace {

using Texts = std::vector<std::string>;

const StageKindSpec& kind(const std::string& name) {
  const auto& kinds = stage_kinds();
  return *std::find_if(kinds.begin(), kinds.end(),
                       [&](const StageKindSpec& spec) { return spec.name == name; });
}

const TableSpec& subtable(const TableSpec& table, const std::string& name) {
  return std::find_if(table.tables.begin(), table.tables.end(),
                      [&](const SubtableSpec& spec) { return spec.name == name; })
      ->table;
}

/// A table with these changes to its defaults; data sources, which have none, are called "some".
Table table_of(const TableSpec& spec, const ParameterValues& changes) {
  Table table;
  table.values = defaults(spec.parameters);
  if (table.values.contains("data")) {
    table.values["data"] = std::string("some");
  }
  for (const auto& [name, value] : changes) {
    table.values.at(name) = value;
  }
  return table;
}

/// What the table's rules say: "parameter: message", warnings with "warning " before.
Texts findings(const TableSpec& spec, const ParameterValues& changes) {
  Texts texts;
  const ParameterValues values = table_of(spec, changes).values;
  std::vector<Finding> all = spec.check(values);
  std::set<std::string> given;
  for (const auto& [name, value] : changes) {
    given.insert(name);
  }
  const std::vector<Finding> idle = findings_without_effect(spec.parameters, values, given);
  all.insert(all.end(), idle.begin(), idle.end());
  for (const Finding& finding : all) {
    const bool warning = finding.severity == Finding::Severity::warning;
    texts.push_back((warning ? "warning " : "") + finding.parameter + ": " + finding.message);
  }
  return texts;
}

LengthOptions epochs(double count) { return {count, std::nullopt}; }
LengthOptions steps(int64_t count) { return {std::nullopt, count}; }

TEST(StageLength, StepsAreTakenAsTheyAre) {
  EXPECT_EQ(steps_of(steps(17), 1000, 7), 17);
  EXPECT_EQ(steps_of(steps(1), 1, 1000), 1);
}

TEST(StageLength, EpochsAreRoundedToSteps) {
  EXPECT_EQ(steps_of(epochs(1.0), 100, 10), 10);
  EXPECT_EQ(steps_of(epochs(3.0), 100, 30), 10);
  EXPECT_EQ(steps_of(epochs(1.0), 104, 10), 10);
  EXPECT_EQ(steps_of(epochs(1.0), 105, 10), 11);
  EXPECT_EQ(steps_of(epochs(0.5), 100, 10), 5);
  EXPECT_EQ(steps_of(epochs(200.0), 100000, 256), 78125);
}

TEST(StageLength, AnyLengthIsAtLeastOneStep) {
  EXPECT_EQ(steps_of(epochs(0.001), 100, 10), 1);
  EXPECT_EQ(steps_of(epochs(1.0), 10, 256), 1);
}

TEST(StageLength, MoreStepsThanAnybodyTrainsAreRefused) {
  const auto refusal = [](const LengthOptions& length, int64_t batch) -> std::string {
    try {
      steps_of(length, 1000, batch);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(epochs(1e300), 10),
            "epochs = 1e+300 makes 1e+302 steps; a stage can have 10^12 at most");
  EXPECT_NE(refusal(steps(INT64_MAX), 10), "");
  EXPECT_NE(refusal(epochs(1e11), 10), "");
  EXPECT_NE(refusal(steps(3), INT64_MAX).find("more samples than 64 bits"), std::string::npos);
  EXPECT_EQ(refusal(steps(1'000'000'000'000), 1000), "");
}

TEST(StageLength, RoundingThatChangesMuchIsSaid) {
  EXPECT_EQ(rounding_doubt(epochs(3.0), 100, 10), "");
  EXPECT_EQ(rounding_doubt(epochs(1.0), 104, 10), "");
  EXPECT_EQ(rounding_doubt(steps(1), 10, 256), "");
  EXPECT_EQ(rounding_doubt(epochs(0.001), 100, 10),
            "epochs = 0.001 of 100 images are 0.01 steps of 10; 1 is taken");
  EXPECT_EQ(rounding_doubt(epochs(1.0), 24, 10),
            "epochs = 1 of 24 images are 2.4 steps of 10; 2 are taken");
}

TEST(StageOptions, DeclareWhichKeysExcludeEachOther) {
  const Texts length = {"epochs", "steps"};
  const Texts pretext_length = {"epochs", "steps", "match"};
  const std::vector<Texts> warmup = {{"warmup_epochs", "warmup_steps"}};
  const TableSpec& bissl = kind("bissl").table;
  for (const TableSpec* spec :
       {&kind("pretrain").table, &kind("finetune").table, &subtable(bissl, "head_warmup")}) {
    EXPECT_EQ(spec->exclusive.front(), spec == &kind("pretrain").table ? pretext_length : length);
    EXPECT_EQ(subtable(*spec, "schedule").exclusive, warmup);
  }
  const Texts views = {"augment", "views"};
  EXPECT_EQ(kind("pretrain").table.exclusive.back(), views);
  EXPECT_EQ(subtable(bissl, "lower").exclusive, std::vector<Texts>{views});
  EXPECT_EQ(subtable(subtable(bissl, "lower"), "schedule").exclusive, warmup);
  EXPECT_EQ(subtable(subtable(bissl, "upper"), "schedule").exclusive, warmup);
}

/// So that stages from before there was the key are found.
TEST(StageOptions, SynchronisedStatisticsAreNoPartOfAKey) {
  for (const char* name : {"pretrain", "bissl", "finetune"}) {
    const std::vector<ParameterSpec>& parameters = kind(name).table.parameters;
    const auto found =
        std::find_if(parameters.begin(), parameters.end(),
                     [](const ParameterSpec& one) { return one.name == batch_norm_key; });
    ASSERT_NE(found, parameters.end()) << name;
    EXPECT_EQ(std::get<std::string>(found->default_value), "synchronised") << name;
    EXPECT_EQ(found->traits.count(default_is_absence), 1U) << name;
  }
}

/// All keys of a table and those in it that have been renamed, with their new names.
void collect_renamed(const TableSpec& spec, std::map<std::string, std::string>& renamed) {
  const Texts keys = keys_of(spec);
  std::map<std::string, std::string> all = renamed_keys(spec.parameters);
  all.insert(spec.renamed.begin(), spec.renamed.end());
  for (const auto& [before, now] : all) {
    EXPECT_EQ(std::count(keys.begin(), keys.end(), before), 0) << before;
    EXPECT_EQ(std::count(keys.begin(), keys.end(), now), 1) << now;
    renamed[before] = now;
  }
  for (const SubtableSpec& subtable : spec.tables) {
    collect_renamed(subtable.table, renamed);
  }
}

TEST(StageOptions, RenamedKeysStandInTheUpgradeNotes) {
  std::map<std::string, std::string> renamed;
  for (const StageKindSpec& spec : stage_kinds()) {
    collect_renamed(spec.table, renamed);
  }
  EXPECT_EQ(renamed,
            (std::map<std::string, std::string>{
                {"ema", "ema_decay"}, {"final", "end_factor"}, {"warmup", "head_warmup"}}));
  const std::string notes = test::read_file(std::string(test::source_folder) + "/docs/upgrade.md");
  for (const auto& [before, now] : renamed) {
    EXPECT_NE(notes.find(fmt::format("| `{}` | `{}` |", before, now)), std::string::npos) << before;
  }
}

TEST(StageLength, EitherEpochsOrStepsMustBeGiven) {
  const TableSpec& bissl = kind("bissl").table;
  const TableSpec& head_warmup = subtable(bissl, "head_warmup");
  for (const TableSpec* spec : {&kind("pretrain").table, &kind("finetune").table, &head_warmup}) {
    EXPECT_EQ(findings(*spec, {{"epochs", 2.0}}), Texts{});
    EXPECT_EQ(findings(*spec, {{"steps", int64_t{2}}}), Texts{});
    EXPECT_EQ(findings(*spec, {}),
              spec == &head_warmup ? Texts{} : Texts{"epochs: give either epochs or steps"});
    EXPECT_EQ(findings(*spec, {{"epochs", 2.0}, {"steps", int64_t{2}}}),
              Texts{"epochs: epochs and steps are both given; give one of them"});
  }
}

TEST(StageOptions, AHeadThatIsFittedWithoutStepsNeedsNoLength) {
  const TableSpec& head_warmup = subtable(kind("bissl").table, "head_warmup");
  EXPECT_EQ(findings(head_warmup, {{"fit", std::string("sgd")}}),
            Texts{"epochs: give either epochs or steps"});
  EXPECT_EQ(findings(head_warmup, {{"fit", std::string("convex")}, {"steps", int64_t{2}}}),
            Texts{"warning fit: makes no steps: epochs and steps have no effect"});
}

TEST(StageOptions, LambdaMayBeAuto) {
  const TableSpec& bissl = kind("bissl").table;
  EXPECT_FALSE(parse_bissl(table_of(bissl, {})).chooses_lambda);
  EXPECT_TRUE(parse_bissl(table_of(bissl, {{"lambda", std::string("auto")}})).chooses_lambda);
  EXPECT_EQ(findings(bissl, {{"lambda", std::string("auto")}}), Texts{});
}

TEST(StageOptions, RoundsAndTheUpperRateMayBeAuto) {
  const TableSpec& bissl = kind("bissl").table;
  EXPECT_FALSE(parse_bissl(table_of(bissl, {})).rounds_open);
  EXPECT_TRUE(parse_bissl(table_of(bissl, {{"rounds", std::string("auto")}})).rounds_open);
  const TableSpec& upper = subtable(bissl, "upper");
  EXPECT_EQ(findings(upper, {{"lr_factor", std::string("auto")}}), Texts{});
  EXPECT_EQ(findings(upper, {{"lr_factor", 0.5}}), Texts{});
  const ParameterValues data = {{"data", std::string("images")}};
  EXPECT_FALSE(parse_upper(table_of(upper, data)).chooses_rate);
  ParameterValues chosen = data;
  chosen["lr_factor"] = std::string("auto");
  EXPECT_TRUE(parse_upper(table_of(upper, chosen)).chooses_rate);
  chosen["data"] = std::string("auto");  // the name of a data source like any other
  EXPECT_EQ(parse_upper(table_of(upper, chosen)).data, "auto");
  chosen["lr_factor"] = 0.25;
  EXPECT_EQ(parse_upper(table_of(upper, chosen)).lr_factor, 0.25);
}

TEST(StageOptions, ArriveInTheirAggregates) {
  const PretrainOptions pretrain = parse_pretrain(table_of(
      kind("pretrain").table, {{"data", "images"}, {"batch", int64_t{32}}, {"epochs", 2.5}}));
  EXPECT_EQ(pretrain.data, "images");
  EXPECT_EQ(pretrain.batch, 32);
  EXPECT_EQ(pretrain.length.epochs, 2.5);
  EXPECT_FALSE(pretrain.length.steps);
  EXPECT_EQ(pretrain.max_grad_norm, 0);
  EXPECT_EQ(pretrain.accumulate, 1);
  EXPECT_EQ(pretrain.step_samples(), 32);

  const FinetuneOptions finetune =
      parse_finetune(table_of(kind("finetune").table, {{"data", "few"},
                                                       {"steps", int64_t{9}},
                                                       {"accumulate", int64_t{3}},
                                                       {"freeze_backbone", true},
                                                       {"repeats", int64_t{3}}}));
  EXPECT_EQ(finetune.data, "few");
  EXPECT_EQ(finetune.length.steps, 9);
  EXPECT_FALSE(finetune.length.epochs);
  EXPECT_TRUE(finetune.freeze_backbone);
  EXPECT_EQ(finetune.ema_decay, 0);
  EXPECT_EQ(finetune.repeats, 3);
  EXPECT_EQ(finetune.step_samples(), 3 * 256);
  EXPECT_EQ(samples_of(int64_t{1} << 62, 4), std::numeric_limits<int64_t>::max());

  const TableSpec& bissl = kind("bissl").table;
  const BisslOptions options = parse_bissl(
      table_of(bissl, {{"rounds", int64_t{7}}, {"lambda", 0.5}, {"adaptation_every", int64_t{4}}}));
  EXPECT_EQ(options.rounds, 7);
  EXPECT_EQ(options.lambda, 0.5);
  EXPECT_EQ(options.gamma, 0.01);
  EXPECT_EQ(options.adaptation_every, 4);
  EXPECT_EQ(
      parse_head_warmup(table_of(subtable(bissl, "head_warmup"), {{"epochs", 3.0}})).length.epochs,
      3.0);
  const LowerOptions lower = parse_lower(
      table_of(subtable(bissl, "lower"), {{"data", "a"}, {"hessian_batch", int64_t{64}}}));
  EXPECT_EQ(lower.data, "a");
  EXPECT_EQ(lower.steps, 20);
  EXPECT_EQ(lower.hessian_batch, 64);
  const UpperOptions upper =
      parse_upper(table_of(subtable(bissl, "upper"), {{"data", "b"}, {"steps", int64_t{2}}}));
  EXPECT_EQ(upper.data, "b");
  EXPECT_EQ(upper.steps, 2);
  EXPECT_EQ(upper.max_grad_norm, 10);
  EXPECT_EQ(
      parse_evaluate(table_of(subtable(kind("finetune").table, "evaluate"), {{"data", "t"}})).data,
      "t");
}

TEST(StageOptions, ASchedulesAbsenceIsConstant) {
  Table stage;
  EXPECT_EQ(parse_schedule(stage).use, "constant");
  stage.tables["schedule"] =
      table_of(subtable(kind("pretrain").table, "schedule"),
               {{"use", "cosine"}, {"warmup_epochs", 2.0}, {"end_factor", 0.25}});
  const ScheduleOptions options = parse_schedule(stage);
  EXPECT_EQ(options.use, "cosine");
  EXPECT_EQ(options.warmup_epochs, 2.0);
  EXPECT_EQ(options.warmup_steps, 0);
  EXPECT_EQ(options.end_factor, 0.25);
}

TEST(StageOptions, RulesSpeakOnCombinations) {
  const TableSpec& schedule = subtable(kind("pretrain").table, "schedule");
  EXPECT_EQ(findings(schedule, {}), Texts{});
  EXPECT_EQ(findings(schedule, {{"warmup_epochs", 1.0}, {"warmup_steps", int64_t{5}}}),
            Texts{"warmup_steps: warmup_epochs and warmup_steps are both given; give one of them"});
  EXPECT_EQ(findings(schedule, {{"end_factor", 0.5}}),
            Texts{"warning end_factor: has no effect with use = \"constant\""});
  EXPECT_EQ(findings(schedule, {{"end_factor", 0.5}, {"use", "cosine"}}), Texts{});
  using Numbers = std::vector<double>;
  EXPECT_EQ(findings(schedule, {{"use", "step"}}),
            Texts{"milestones: \"step\" needs some: milestones = [0.6, 0.8]"});
  EXPECT_EQ(findings(schedule, {{"use", "step"}, {"milestones", Numbers{0.5, 0.5}}}),
            Texts{"milestones: each is to be later than the one before it"});
  EXPECT_EQ(findings(schedule, {{"use", "step"}, {"milestones", Numbers{0.5, 0.7}}}), Texts{});
  EXPECT_EQ(findings(schedule, {{"use", "one-cycle"}, {"warmup_steps", int64_t{3}}}),
            Texts{"warmup_steps: \"one-cycle\" rises by itself: give its `rise`, or no warm-up"});
  EXPECT_EQ(findings(schedule, {{"use", "exponential"}, {"end_factor", 0.0}}),
            Texts{"end_factor: an \"exponential\" fall never reaches 0: give a small number"});
  const TableSpec& mix = subtable(kind("finetune").table, "mix");
  EXPECT_EQ(findings(mix, {}),
            Texts{"mixup: give mixup or cutmix a number of more than 0, or both"});
  EXPECT_EQ(findings(mix, {{"mixup", 0.2}}), Texts{});
  EXPECT_EQ(findings(mix, {{"mixup", 0.2}, {"cutmix_share", 0.3}}),
            Texts{"warning cutmix_share: has no effect with cutmix = 0"});
  const TableSpec& bissl = kind("bissl").table;
  EXPECT_EQ(findings(bissl, {{"adaptation_strength", 0.5}}),
            Texts{"warning adaptation_strength: has no effect with adaptation_every = 0"});
  EXPECT_EQ(findings(bissl, {{"adaptation_strength", 0.5}, {"adaptation_every", int64_t{1}}}),
            Texts{});
}

void expect_sound(const TableSpec& table, const std::string& name) {
  Texts found = faults(table.parameters);
  // A schedule's own `use` is no component's.
  std::erase(found, "parameter \"use\": the name is reserved");
  EXPECT_EQ(found, Texts{}) << name;
  for (const SubtableSpec& sub : table.tables) {
    expect_sound(sub.table, name + "." + sub.name);
  }
}

TEST(StageKinds, AreDeclaredSoundly) {
  Texts names;
  for (const StageKindSpec& spec : stage_kinds()) {
    names.push_back(spec.name);
    EXPECT_FALSE(spec.summary.empty());
    expect_sound(spec.table, spec.name);
  }
  const Texts own = {"pretrain", "bissl", "finetune", "evaluate", "knn", "analyse", "import"};
  ASSERT_GE(names.size(), own.size());
  names.resize(own.size());  // kinds that other tests have registered come behind them
  EXPECT_EQ(names, own);
}

TEST(StageOptions, ScoredSourcesAreGivenAndDistinct) {
  const auto said = [](const char* name, const Texts& data) {
    ParameterValues changes = {{"data", data}};
    if (std::string(name) == "knn") {
      changes["bank"] = std::string("bank");
    }
    return findings(kind(name).table, changes);
  };
  for (const char* name : {"evaluate", "knn"}) {
    EXPECT_EQ(said(name, {"a", "b"}), Texts{}) << name;
    EXPECT_EQ(said(name, {}), Texts{"data: there is no data source to score on"});
    EXPECT_EQ(said(name, {"a", "a"}), Texts{"data: a data source is given twice"});
  }
  EXPECT_EQ(said("knn", {"b", "bank"}),
            Texts{"data: the bank is scored on itself: each image would be its own neighbour"});
}

TEST(StageOptions, WhatIsAnalysedIsGivenAndDistinct) {
  const auto said = [](const std::string& key, const Value& value) {
    ParameterValues changes = {{"data", Texts{"a"}}};
    changes[key] = value;
    return findings(kind("analyse").table, changes);
  };
  EXPECT_EQ(said("data", Texts{}), Texts{"data: there is no data source to look at"});
  EXPECT_EQ(said("compare", Texts{"s", "s"}), Texts{"compare: \"s\" is given twice"});
  EXPECT_EQ(said("k", std::vector<int64_t>{}), Texts{"k: there is no number of neighbours"});
  EXPECT_EQ(said("pictures", Texts{"neighbours"}),
            Texts{"pictures: \"neighbours\" needs a bank, and none is given"});
  EXPECT_EQ(said("bank", std::string("a")),
            Texts{"data: the bank is scored on itself: each image would be its own neighbour"});
  EXPECT_EQ(said("bank", std::string("b")), Texts{});
}

TEST(StageKinds, KnowTheirParentsAndData) {
  EXPECT_FALSE(kind("pretrain").needs_parent);
  EXPECT_TRUE(kind("bissl").needs_parent);
  EXPECT_TRUE(kind("finetune").needs_parent);
  EXPECT_EQ(kind("finetune").hands_on, (Texts{"backbone", "head"}));
  EXPECT_EQ(kind("bissl").hands_on, (Texts{"backbone", "pretext", "head"}));
  EXPECT_EQ(kind("evaluate").takes, (Texts{"backbone", "head"}));
  EXPECT_FALSE(kind("evaluate").from_scratch);
  EXPECT_EQ(kind("evaluate").hands_on, Texts{});
  EXPECT_TRUE(kind("knn").from_scratch);
  for (const auto& [name, table] : {std::pair("bissl", "lower"), std::pair("bissl", "upper"),
                                    std::pair("finetune", "evaluate")}) {
    const std::vector<ParameterSpec>& specs = subtable(kind(name).table, table).parameters;
    EXPECT_EQ(specs.front().name, "data");
    EXPECT_TRUE(specs.front().names_data()) << table;
  }
  for (const SubtableSpec& table : kind("bissl").table.tables) {
    EXPECT_EQ(table.inherits_from, table.name == "lower" ? "pretrain" : "") << table.name;
  }
  for (const ParameterSpec& parameter : subtable(kind("bissl").table, "lower").parameters) {
    EXPECT_EQ(parameter.traits.count(own_meaning), parameter.name == "steps" ? 1U : 0U);
  }
}

}  // namespace
}  // namespace bissl::host
