#include "store/sweep_folder.h"

#include "bissl/error.h"
#include "core/store/failing_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <set>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// As SweepFolder::results() looks at the content of results.json.
bool is_result(const json& content, const SweepPlan& plan, const PlanCell& cell) {
  try {
    return is_result_of(RunResults::from_json(content), plan, cell);
  } catch (const Error&) {
    return false;
  }
}

/// Two cells of one axis: "plain" without, "search" with two draws that share `pre`.
class Folder : public testing::Test {
 protected:
  Folder() {
    plan_.name = "study";
    plan_.axes = {
        {.name = "use", .keys = {"stage.ft.use"}, .labels = {"a b", "c"}, .baseline = {}}};
    plan_.metrics = {"ft.test.top1"};
    plan_.select = "ft.val.top1";
    plan_.draws = json::array({{{"stage.ft.lr", "0.1"}}, {{"stage.ft.lr", "0.2"}}});
    plan_.units = {unit("pre", "ft0"), unit("pre", "ft1"), unit("pre", "ft2"), unit("pre", "ft3"),
                   unit("pre", "ft4")};
    plan_.cells = {
        {.id = "use=a_b", .choices = {0}, .seed = 7, .unit = 0, .trials = {}, .finals = {}},
        {.id = "use=c", .choices = {1}, .seed = 7, .unit = {}, .trials = {1, 2}, .finals = {3, 4}}};
    plan_.nodes = {{.key = "pre", .stage = "pre", .kind = "pretrain", .parent = "", .unit = 0}};
    for (size_t i = 0; i < 5; ++i) {
      plan_.nodes.push_back({.key = "ft" + std::to_string(i),
                             .stage = "ft",
                             .kind = "finetune",
                             .parent = "pre",
                             .unit = i});
    }
  }
  static PlanUnit unit(const std::string& parent, const std::string& child) {
    return {.lock = "", .stages = {{"pre", parent}, {"ft", child}}};
  }
  const PlanCell& plain() const { return plan_.cells[0]; }
  const PlanCell& search() const { return plan_.cells[1]; }
  static json stages(const std::string& pre, const std::string& ft) {
    return {{"pre", {{"key", pre}}}, {"ft", {{"key", ft}}}};
  }
  json chosen(size_t draw, const std::string& final) const {
    return {{"stages", stages("pre", final)},
            {"search",
             {{"select", "ft.val.top1"},
              {"goal", nullptr},
              {"maximise", true},
              {"trials", trials_hash(plan_, search())},
              {"chosen", draw},
              {"scores", {draw == 0 ? 0.5 : 0.25, draw == 1 ? 0.5 : 0.25}}}}};
  }
  SweepFolder::Progress progress() const {
    return {.is_done = [this](const std::string& key) { return done_.count(key) != 0; },
            .has_score = [](const PlanUnit&) { return false; }};
  }

  TemporaryFolder folder_;
  SweepPlan plan_;
  std::set<std::string> done_;
};

TEST_F(Folder, ResultsAreThoseOfThePlansStages) {
  const auto counts = [&](const json& of_stages) {
    return is_result(json{{"stages", of_stages}}, plan_, plain());
  };
  EXPECT_TRUE(counts(stages("pre", "ft0")));
  EXPECT_FALSE(counts(stages("pre", "ft1")));
  EXPECT_FALSE(counts(stages("other", "ft0")));
  EXPECT_FALSE(counts({{"pre", {{"key", "pre"}}}}));
  EXPECT_FALSE(counts({{"pre", {{"key", "pre"}}}, {"renamed", {{"key", "ft0"}}}}));
  json more = stages("pre", "ft0");
  more["third"] = {{"key", "x"}};
  EXPECT_FALSE(counts(more));
  for (const json& wrong : {json(3), json::array(), json(nullptr), json({{"pre", 1}, {"ft", 2}})}) {
    EXPECT_FALSE(counts(wrong)) << wrong;
  }
  EXPECT_FALSE(is_result(chosen(0, "ft3"), plan_, plain()));  // of a search
}

TEST_F(Folder, ResultsOfASearchWereChosenAmongThePlansDraws) {
  EXPECT_TRUE(is_result(chosen(0, "ft3"), plan_, search()));
  EXPECT_TRUE(is_result(chosen(1, "ft4"), plan_, search()));
  EXPECT_FALSE(is_result(chosen(0, "ft4"), plan_, search()));
  EXPECT_FALSE(is_result(chosen(2, "ft4"), plan_, search()));
  EXPECT_FALSE(is_result({{"stages", stages("pre", "ft3")}}, plan_, search()));
  const json good = chosen(0, "ft3");
  SweepPlan edited = plan_;
  edited.select = "ft.val.loss";
  EXPECT_FALSE(is_result(good, edited, edited.cells[1]));
  edited = plan_;
  edited.select_maximise = false;
  EXPECT_FALSE(is_result(good, edited, edited.cells[1]));
  // What versions before wrote has no goal: `maximise` was the plan's.
  json before = good;
  before["search"].erase("goal");
  edited.select_maximise = true;
  EXPECT_TRUE(is_result(before, edited, edited.cells[1]));
  EXPECT_FALSE(is_result(before, plan_, search()));
  json worse = good;
  worse["search"]["maximise"] = false;  // then the other draw is the better one
  EXPECT_FALSE(is_result(worse, plan_, search()));
  worse = good;
  worse["search"]["scores"][0] = nullptr;
  EXPECT_FALSE(is_result(worse, plan_, search()));
  edited = plan_;
  edited.units[2] = unit("pre", "ft0");  // another draw among which none was chosen
  EXPECT_FALSE(is_result(good, edited, edited.cells[1]));
  edited = plan_;
  edited.metrics = {"ft.test.loss"};  // what is shown, not what is run
  EXPECT_TRUE(is_result(good, edited, edited.cells[1]));
}

TEST_F(Folder, APlanOfTheFormatBeforeIsReadAsItWasMeant) {
  json plan = plan_.to_json();
  EXPECT_EQ(plan.at("format"), 2);
  EXPECT_EQ(SweepPlan::from_json(plan).to_json(), plan);
  EXPECT_EQ(SweepPlan::from_json(plan).maximise, std::nullopt);
  plan["format"] = 1;
  plan["maximise"] = true;
  plan["select_maximise"] = false;
  EXPECT_EQ(SweepPlan::from_json(plan).maximise, true);
  EXPECT_EQ(SweepPlan::from_json(plan).select_maximise, false);
  plan["maximise"] = nullptr;
  EXPECT_EQ(SweepPlan::from_json(plan).maximise, std::nullopt);
  for (const json& format : {json(0), json(3), json("2"), json(1.5)}) {
    plan["format"] = format;
    EXPECT_THROW(SweepPlan::from_json(plan), Error) << format;
  }
}

TEST_F(Folder, FailuresHaveTheirPlace) {
  const SweepFolder files(plan_, folder_.path());
  EXPECT_TRUE(files.failures(plain(), progress()).empty());
  files.record({.key = "ft2", .stage = "old", .cell = "old", .cause = "boom"});
  files.record({.key = "ft0", .stage = "ft", .cell = "use=a_b", .cause = "bang"});
  const auto of_plain = files.failures(plain(), progress());
  ASSERT_EQ(of_plain.size(), 1U);
  EXPECT_EQ(failure_text(plan_, plain(), of_plain[0]), "ft failed (use = a b; seed 7): bang");
  const auto of_search = files.failures(search(), progress());
  ASSERT_EQ(of_search.size(), 1U);
  EXPECT_EQ(failure_text(plan_, search(), of_search[0]),
            "ft failed (seed 7; draw 1: stage.ft.lr = 0.2): boom");
  EXPECT_EQ(failure_json(plan_, of_search[0]).at("drawn"), json({{"stage.ft.lr", "0.2"}}));
  EXPECT_EQ(plan_.user_of("ft2"), "use=c (seed 7; draw 1: stage.ft.lr = 0.2)");
  EXPECT_EQ(plan_.user_of("ft4"), "use=c (seed 7; draw 1: stage.ft.lr = 0.2)");
  EXPECT_EQ(plan_.user_of("ft0"), "use=a_b (use = a b; seed 7)");

  // What all draws continue is no draw's own.
  files.record({.key = "pre", .stage = "pre", .cell = "use=a_b", .cause = "first"});
  const auto shared = files.failures(search(), progress());
  ASSERT_EQ(shared.size(), 1U);
  EXPECT_FALSE(shared[0].draw);
  EXPECT_EQ(failure_text(plan_, search(), shared[0]), "pre failed (seed 7): first (needed by ft)");
  // Finished since, by another sweep.
  done_ = {"pre", "ft0", "ft2"};
  EXPECT_TRUE(files.failures(plain(), progress()).empty());
}

TEST_F(Folder, NoFailureIsWithoutACause) {
  const SweepFolder files(plan_, folder_.path());
  for (const char* content : {"{}", "{\"cause\": 3}", "{\"cause\": \"\", \"input\": 3}"}) {
    write_file(files.state_file("ft0", "failed"), content);
    const auto failures = files.failures(plain(), progress());
    ASSERT_EQ(failures.size(), 1U) << content;
    EXPECT_TRUE(failures[0].failure.cause.starts_with("the cause is not known: ")) << content;
  }
  // Draws that were run and have no score to be chosen by.
  done_ = {"pre", "ft1", "ft2"};
  const auto draws = files.failures(search(), progress());
  ASSERT_EQ(draws.size(), 2U);
  EXPECT_EQ(failure_text(plan_, search(), draws[0]),
            "ft failed (seed 7; draw 0: stage.ft.lr = 0.1): the draw cannot be chosen: its results "
            "have no finite ft.val.top1");
}

TEST_F(Folder, PlansThatAreNotWholeAreRefused) {
  const json whole = plan_.to_json();
  EXPECT_EQ(SweepPlan::from_json(whole).to_json(), whole);
  const auto refusal = [&](const char* pointer, const json& value) {
    json broken = whole;
    broken[json::json_pointer(pointer)] = value;
    return error_of([&] { SweepPlan::from_json(broken); });
  };
  const std::vector<std::pair<const char*, json>> faults = {{"/cells/0/unit", 9},
                                                            {"/cells/0/unit", nullptr},
                                                            {"/cells/0/choices", json::array()},
                                                            {"/cells/0/choices/0", 2},
                                                            {"/cells/1/trials/0", 77},
                                                            {"/cells/1/finals", {3}},
                                                            {"/cells/0/id", "../x"},
                                                            {"/cells/0/id", ""},
                                                            {"/units/0/stages/0/1", "none"},
                                                            {"/nodes/1/parent", "none"},
                                                            {"/nodes/1/compared", {"none"}},
                                                            {"/nodes/1/unit", 99},
                                                            {"/draws", 3},
                                                            {"/draws/0/stage.ft.lr", {}},
                                                            {"/metrics", json::array()},
                                                            {"/metrics", "x"}};
  for (const auto& [pointer, value] : faults) {
    EXPECT_TRUE(refusal(pointer, value).starts_with("input: this is not a whole plan of a sweep"))
        << pointer << value;
  }
  EXPECT_NE(refusal("/format", 7).find("not a sweep's plan in the format"), std::string::npos);
}

}  // namespace
}  // namespace bissl::host::test
