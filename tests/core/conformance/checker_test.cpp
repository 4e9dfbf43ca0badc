#include "conformance/checker.h"

#include "sample_component.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

namespace bissl::host::test {
namespace {

/// The checks of an optimizer that does nothing, with what became of each.
class Checks : public testing::Test {
 protected:
  Checks()
      : checker_({.component = idle_component(), .values = {}, .origin = "here"}, {},
                 {.begin = [this](const std::string& check) { begun_ = check; },
                  .end = [this](const CheckResult& result) { results_.push_back(result); }}) {}

  Checker checker_;
  std::string begun_;
  std::vector<CheckResult> results_;
};

TEST_F(Checks, PassWithoutAWord) {
  EXPECT_TRUE(checker_.check("moves", [] {}));
  EXPECT_EQ(begun_, "moves");
  ASSERT_EQ(results_.size(), 1);
  EXPECT_EQ(results_[0].kind, "optimizer");
  EXPECT_EQ(results_[0].component, "idle");
  EXPECT_EQ(results_[0].status, CheckStatus::passed);
  EXPECT_FALSE(checker_.failed());
}

TEST_F(Checks, FailByWhateverIsThrown) {
  EXPECT_FALSE(checker_.check("moves", [] { require(false, "it is at {}", 3); }));
  EXPECT_FALSE(checker_.check("rests", [] { throw std::runtime_error("no rest"); }));
  EXPECT_FALSE(checker_.check("sleeps", [] { throw 3; }));
  ASSERT_EQ(results_.size(), 3);
  EXPECT_EQ(results_[0].detail, "it is at 3");
  EXPECT_EQ(results_[1].detail, "no rest");
  EXPECT_EQ(results_[2].detail, "an exception that is not a std::exception");
  EXPECT_TRUE(checker_.failed());
}

TEST_F(Checks, AreSkippedWhereAPromiseSaysNothing) {
  EXPECT_TRUE(checker_.check("moves", [] { throw NotApplicable("has no wheels"); }));
  EXPECT_EQ(results_.at(0).status, CheckStatus::skipped);
  EXPECT_FALSE(checker_.failed());
}

TEST_F(Checks, FailByAChangeOfTheProcessAndUndoIt) {
  const auto folder = std::filesystem::current_path();
  const std::filesystem::path other = folder == "/" ? "/tmp" : "/";
  EXPECT_FALSE(checker_.check("moves", [&] { std::filesystem::current_path(other); }));
  EXPECT_EQ(std::filesystem::current_path(), folder);
  EXPECT_NE(results_.at(0).detail.find("the current folder was"), std::string::npos)
      << results_[0].detail;
}

TEST_F(Checks, ListWhatAnEarlierOneLeftOut) {
  checker_.skip_the_rest();
  EXPECT_TRUE(results_.empty()) << "nothing failed";
  const std::vector<std::string> names = names_of_checks(ComponentKind::optimizer);
  checker_.check(names.at(0), [] {});
  checker_.check(names.at(1), [] { require(false, "no"); });
  checker_.skip_the_rest();
  ASSERT_EQ(results_.size(), names.size());
  for (size_t i = 2; i < names.size(); ++i) {
    EXPECT_EQ(results_[i].check, names[i]);
    EXPECT_EQ(results_[i].status, CheckStatus::skipped);
    EXPECT_EQ(results_[i].detail, "not tried, since \"" + names[1] + "\" failed");
  }
}

TEST(NamesOfChecks, AreDistinctInEachKind) {
  for (const ComponentKind kind :
       {ComponentKind::dataset, ComponentKind::augmentation, ComponentKind::transform,
        ComponentKind::backbone, ComponentKind::pretext, ComponentKind::downstream,
        ComponentKind::hypergradient, ComponentKind::optimizer}) {
    const std::vector<std::string> names = names_of_checks(kind);
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size())
        << to_string(kind);
    EXPECT_GT(names.size(), 3) << to_string(kind);
  }
}

TEST(InThreads, FindsWhatOneOfThemFinds) {
  EXPECT_NO_THROW(require_in_threads([](size_t) { return std::string(); }));
  EXPECT_THROW(
      require_in_threads([](size_t thread) { return std::string(thread == 2 ? "differs" : ""); }),
      Violation);
  EXPECT_THROW(require_in_threads([](size_t thread) -> std::string {
                 if (thread == 3) {
                   throw 7;
                 }
                 return "";
               }),
               Violation);
}

}  // namespace
}  // namespace bissl::host::test
