#include "pipeline/diagnostics.h"

#include "base/spelling.h"
#include "pipeline/metric_name.h"
#include "pipeline/run_names.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace bissl::host {
namespace {

using Names = std::vector<std::string>;
using Severity = Diagnostic::Severity;

Diagnostic made(Severity severity, const Location& at, const std::string& key,
                const std::string& message, const std::string& accepted, const Names& suggestions) {
  Diagnostic diagnostic;
  diagnostic.severity = severity;
  diagnostic.at = at;
  diagnostic.key = key;
  diagnostic.message = message;
  diagnostic.accepted = accepted;
  diagnostic.suggestions = suggestions;
  return diagnostic;
}

TEST(Diagnostic, IsOneLineWithEverything) {
  EXPECT_EQ(made(Severity::error, {"file.toml", 12, 7}, "stage.pretrain.batch",
                 "0 is out of bounds", "an integer of at least 1", {})
                .text(),
            "file.toml:12:7: error: stage.pretrain.batch: 0 is out of bounds; accepted: an integer "
            "of at least 1");
  EXPECT_EQ(made(Severity::warning, {"--set a=1", 0, 0}, "", "odd", "", {"b", "c"}).text(),
            "--set a=1: warning: odd; did you mean \"b\" or \"c\"?");
}

TEST(Diagnostic, AsJson) {
  EXPECT_EQ(to_json(made(Severity::error, {"f.toml", 2, 3}, "a.b", "wrong", "right", {"c"})).dump(),
            R"({"accepted":"right","column":3,"file":"f.toml","key":"a.b","line":2,)"
            R"("message":"wrong","severity":"error","suggestions":["c"]})");
}

TEST(Diagnostic, JsonHoldsFileNamesThatAreNotUtf8) {
  EXPECT_EQ(to_json(made(Severity::error, {"f\xff.toml", 1, 1}, "", "x", "", {})).at("file"),
            "f\xEF\xBF\xBD.toml");
}

TEST(DiagnosticCollector, TakesAMessageOncePerPosition) {
  DiagnosticCollector collector;
  collector.error({"f", 1, 1}, "stage.a.batch", "0 is out of bounds");
  collector.error({"f", 1, 1}, "stage.b.batch", "0 is out of bounds");
  collector.error({"f", 1, 2}, "stage.b.batch", "0 is out of bounds");
  EXPECT_EQ(collector.errors(), 2u);
  collector.missing({"f", 1, 1}, "stage.a.data", "missing", "");
  collector.missing({"f", 1, 1}, "stage.a.lower.data", "missing", "");
  EXPECT_EQ(collector.errors(), 4u);
  collector.warning({"f", 9, 1}, "", "odd");
  EXPECT_EQ(collector.errors(), 4u);
}

TEST(DiagnosticCollector, SortsByPositionTheFirstFileAhead) {
  DiagnosticCollector collector;
  collector.error({"--set x=1", 0, 0}, "", "e");
  collector.error({"a.toml", 1, 1}, "", "d");
  collector.error({"main.toml", 10, 1}, "", "c");
  collector.error({"main.toml", 9, 5}, "", "b");
  collector.error({"main.toml", 9, 4}, "", "a");
  std::string order;
  for (const Diagnostic& diagnostic : collector.sorted("main.toml")) {
    order += diagnostic.message;
  }
  EXPECT_EQ(order, "abcde");
}

TEST(Nearest, FindsTyposAndNothingElse) {
  EXPECT_EQ(nearest("bacth", {"epochs", "batch", "data"}), Names{"batch"});  // one swap
  EXPECT_EQ(nearest("LARS", {"sgd", "lars"}), Names{"lars"});
  EXPECT_EQ(nearest("optimiser", {"optimizer", "schedule"}), Names{"optimizer"});
  EXPECT_EQ(nearest("xyz", {"batch", "data"}), Names{});
  EXPECT_EQ(nearest("a", {"b"}), Names{});
  EXPECT_EQ(nearest("", {"b"}), Names{});
}

TEST(Nearest, BestFirstAndAtMostThree) {
  EXPECT_EQ(nearest("resnet", {"resnet5x", "resnet1", "xresnet", "resnets", "resnett"}),
            (Names{"resnet1", "xresnet", "resnets"}));
}

TEST(Nearest, CutOffIsAThirdOfTheLength) {
  EXPECT_EQ(nearest("abcdef", {"abcdxy"}), Names{"abcdxy"});
  EXPECT_EQ(nearest("abcdef", {"abcxyz"}), Names{});
}

TEST(Shortened, NeverCutsACharacter) {
  EXPECT_EQ(shortened("short"), "short");
  EXPECT_EQ(shortened(std::string(100, 'x')), std::string(80, 'x') + "…");
  EXPECT_EQ(shortened(std::string(79, 'x') + "éé"), std::string(79, 'x') + "…");
}

TEST(JoinedKey, QuotesWhatIsNotBare) {
  EXPECT_EQ(joined_key("", "data"), "data");
  EXPECT_EQ(joined_key("data", "few-labels"), "data.few-labels");
  EXPECT_EQ(joined_key("data", "a b"), "data.\"a b\"");
  EXPECT_EQ(joined_key("data", ""), "data.\"\"");
  EXPECT_EQ(joined_key("data", "\x1b[31m"), "data.\"\\u001B[31m\"");
}

TEST(MetricNames, AreSpelledLikeKeys) {
  for (const MetricName& name :
       {MetricName{"ft", "test", "top1"}, MetricName{"ft.v1", "t-10.1", "top1"},
        MetricName{"a", "b", "F1 (macro)"}, MetricName{"a", "b", "say \"so\""}}) {
    const std::optional<MetricName> again = parse_metric(name.text());
    ASSERT_TRUE(again) << name.text();
    EXPECT_EQ(again->stage, name.stage);
    EXPECT_EQ(again->data, name.data);
    EXPECT_EQ(again->metric, name.metric);
  }
  EXPECT_EQ((MetricName{"ft.v1", "t-10.1", "top1"}).text(), "\"ft.v1\".\"t-10.1\".top1");
  EXPECT_EQ(parse_metric("'ft.v1'.t.top1")->stage, "ft.v1");
  for (const char* wrong : {"", "top1", "t.top1", "ft.t-10.1.top1", "a b.t.top1", "ft..top1"}) {
    EXPECT_FALSE(parse_metric(wrong)) << wrong;
  }
}

TEST(RunFiles, CountUpperAndLowerCaseAsEqual) {
  for (const char* name : {"results.json", "Results.JSON", "pipeline.lock.toml", "report.md"}) {
    EXPECT_TRUE(is_run_file(name)) << name;
  }
  for (const char* name : {"results", "report", "reporting.x", "pretrain", "plan"}) {
    EXPECT_FALSE(is_run_file(name)) << name;
  }
}

}  // namespace
}  // namespace bissl::host
