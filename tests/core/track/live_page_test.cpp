// The page of `bissl serve` in a browser, by the pointer and the keys.

#include "browser.h"
#include "store/run_folder.h"
#include "store/run_results.h"
#include "support/temporary_folder.h"
#include "track/run_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Two runs that are computed, with three and four steps so far. With BISSL_TEST_SCREENSHOTS=FOLDER
/// in the environment, pictures of the page are left there.
class LivePage : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (Browser::is_installed()) {
      profile_ = new TemporaryFolder;
      browser_ = new Browser(profile_->path());
    }
  }
  static void TearDownTestSuite() {
    delete browser_;
    browser_ = nullptr;
    delete profile_;
    profile_ = nullptr;
  }

  void SetUp() override {
    if (browser_ == nullptr) {
      GTEST_SKIP() << "Debian's package chromium is not installed";
    }
    make_run(first_, 'a');
    append(first_, 3);
    make_run(second_, 'b');
    append(second_, 4);
    server_.emplace(std::vector<fs::path>{folder_.path()}, 0);
    thread_ = std::thread([this] { server_->serve([this] { return over_.load(); }); });
  }
  void TearDown() override {
    over_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  void make_run(const std::string& name, char key) {
    const fs::path stage = folder_.path() / ".store" / (std::string(32, key) + ".partial");
    fs::create_directories(stage);
    fs::create_directories(folder_.path() / name);
    write_file(folder_.path() / name / "pipeline.lock.toml", "");
    fs::create_directory_symlink(stage, folder_.path() / name / "pretrain");
  }
  /// As many further steps of a run.
  void append(const std::string& name, int steps) {
    std::ofstream log(folder_.path() / name / "pretrain" / "events.jsonl", std::ios::app);
    for (int i = 0; i < steps; ++i) {
      const int step = steps_[name]++;
      log << "{\"step\":" << step << ",\"loss\":" << 9 - step % 5 << "}\n";
    }
  }
  /// A run with these losses.
  void make_run_of(const std::string& name, char key, const std::vector<std::string>& losses) {
    make_run(name, key);
    std::ofstream log(folder_.path() / name / "pretrain" / "events.jsonl");
    for (size_t step = 0; step < losses.size(); ++step) {
      log << "{\"step\":" << step << ",\"loss\":" << losses[step] << "}\n";
    }
  }
  static void look(Tab& tab, const std::string& name) {
    if (const char* folder = std::getenv("BISSL_TEST_SCREENSHOTS")) {
      tab.write_screenshot(fs::path(folder) / (name + ".png"));
    }
  }

  const std::string first_ = "a<b> & c";
  const std::string second_ = "two";
  TemporaryFolder folder_;
  std::map<std::string, int> steps_;
  std::optional<RunServer> server_;
  std::atomic<bool> over_ = false;
  std::thread thread_;
  static TemporaryFolder* profile_;
  static Browser* browser_;
};

TemporaryFolder* LivePage::profile_ = nullptr;
Browser* LivePage::browser_ = nullptr;

/// The box to tick of a run.
std::string box_of(const std::string& run) {
  return "[...document.querySelectorAll('#runs li')].find(one=>"
         "one.querySelector('label').textContent===" +
         json(run).dump() + ").querySelector('input')";
}

/// The runs in the chart of the loss, each with the number of its points.
constexpr const char* curves =
    "[...document.querySelectorAll('[data-chart=\"pretrain/loss\"] path.curve')]"
    ".map(one=>[one.dataset.run,one.getAttribute('d').match(/[ML]/g).length])";

json curves_of(const std::vector<std::pair<std::string, int>>& runs) {
  json list = json::array();
  for (const auto& [run, points] : runs) {
    list.push_back(json::array({run, points}));
  }
  return list;
}

TEST_F(LivePage, TicksChooseWhoseCurvesAreShown) {
  Tab tab(*browser_, server_->address());
  const json both = curves_of({{first_, 3}, {second_, 4}});
  EXPECT_EQ(tab.settled(curves, both), both);
  look(tab, "serve-two-runs");

  tab.click(box_of(first_));
  const json second = curves_of({{second_, 4}});
  EXPECT_EQ(tab.settled(curves, second), second);
  EXPECT_EQ(tab.evaluate(box_of(first_) + ".checked"), false);
  EXPECT_EQ(tab.evaluate("location.hash"), "#run=two");
  EXPECT_EQ(tab.evaluate("document.querySelector('#main svg').getAttribute('aria-label')"),
            "loss of pretrain by step; last values: two: 6");
  look(tab, "serve-one-run");

  // By the keyboard: the second one goes, too.
  tab.evaluate(box_of(second_) + ".focus()");
  tab.press_space();
  const json nothing = json::array();
  EXPECT_EQ(tab.settled(curves, nothing), nothing);
  EXPECT_EQ(tab.evaluate("document.getElementById('main').textContent"),
            "Tick a run that has begun.");
  EXPECT_EQ(tab.evaluate("location.hash"), "#run=");

  tab.click("document.getElementById('all')");
  EXPECT_EQ(tab.settled(curves, both), both);
  tab.click("document.getElementById('none')");
  EXPECT_EQ(tab.settled(curves, nothing), nothing);
  EXPECT_EQ(tab.faults(), std::vector<std::string>{});
}

/// A run that is hidden still grows, and has all its points when it is ticked again.
TEST_F(LivePage, CurvesFollowTheRunsThatAreTicked) {
  Tab tab(*browser_, server_->address());
  const json both = curves_of({{first_, 3}, {second_, 4}});
  EXPECT_EQ(tab.settled(curves, both), both);
  tab.click(box_of(first_));
  append(first_, 5);
  append(second_, 2);
  const json second = curves_of({{second_, 6}});
  EXPECT_EQ(tab.settled(curves, second), second);
  tab.click(box_of(first_));
  const json longer = curves_of({{first_, 8}, {second_, 6}});
  EXPECT_EQ(tab.settled(curves, longer), longer);
  look(tab, "serve-followed");
  EXPECT_EQ(tab.faults(), std::vector<std::string>{});
}

TEST_F(LivePage, ALinkTicksTheRunsThatItNames) {
  Tab tab(*browser_, server_->address() + "#run=two");
  const json second = curves_of({{second_, 4}});
  EXPECT_EQ(tab.settled(curves, second), second);
  EXPECT_EQ(tab.evaluate(box_of(first_) + ".checked"), false);
  tab.evaluate("location.hash='#run='+encodeURIComponent(" + json(first_).dump() + ")");
  const json first = curves_of({{first_, 3}});
  EXPECT_EQ(tab.settled(curves, first), first);
  EXPECT_EQ(tab.evaluate(box_of(second_) + ".checked"), false);
  EXPECT_EQ(tab.faults(), std::vector<std::string>{});
}

/// The labels of the lines across the chart of the loss.
constexpr const char* line_labels =
    "[...document.querySelectorAll('[data-chart=\"pretrain/loss\"] text.tick')]"
    ".map(one=>one.textContent)";

/// Whether there are several such labels, no two of them are alike, and each is within the picture.
constexpr const char* are_told_apart = R"((()=>{
const all=[...document.querySelectorAll('[data-chart="pretrain/loss"] text.tick')];
return [all.length>1,new Set(all.map(one=>one.textContent)).size===all.length,
  all.every(one=>one.getBBox().x>=0)];
})())";

TEST_F(LivePage, LinesAcrossAChartHaveRoundLabelsThatDiffer) {
  make_run_of("near", 'c', {"0.99990001", "0.99990002", "0.99990004"});
  make_run_of("tiny", 'd', {"1.25e-12", "1.5e-12", "2e-12"});
  make_run_of("large", 'e', {"123456789012", "123456789013", "123456789015"});
  make_run_of("even", 'f', {"0.1", "0.1", "0.1"});
  const json apart = {true, true, true};
  for (const std::string name : {"near", "tiny", "large", "even"}) {
    Tab tab(*browser_, server_->address() + "#run=" + name);
    const json shown = curves_of({{name, 3}});
    EXPECT_EQ(tab.settled(curves, shown), shown);
    EXPECT_EQ(tab.settled(are_told_apart, apart), apart) << name << tab.evaluate(line_labels);
    look(tab, "serve-" + name);
    tab.click("document.getElementById('log')");
    EXPECT_EQ(tab.settled(are_told_apart, apart), apart) << name << tab.evaluate(line_labels);
    EXPECT_EQ(tab.faults(), std::vector<std::string>{});
  }
  Tab tab(*browser_, server_->address() + "#run=two");
  const json expected = {"6", "7", "8", "9"};
  EXPECT_EQ(tab.settled(line_labels, expected), expected);
}

/// Whether text differs enough from the paper (7 : 1, WCAG's highest level), and the paper is
/// light.
constexpr const char* readable = R"((()=>{
const light=colour=>{const [r,g,b]=colour.match(/[\d.]+/g).slice(0,3)
  .map(v=>v/255).map(v=>v<=.03928?v/12.92:((v+.055)/1.055)**2.4);return .2126*r+.7152*g+.0722*b};
const style=getComputedStyle(document.body);
const text=light(style.color),paper=light(style.backgroundColor);
return [(Math.max(text,paper)+.05)/(Math.min(text,paper)+.05)>=7,paper>.5];
})())";

TEST_F(LivePage, PagesAreReadableInTheDarkAndOnPaper) {
  StageResults stage;
  stage.kind = "finetune";
  stage.repeats = 2;
  stage.key = std::string(32, 'c');
  stage.metrics.push_back(summarised(
      {.data = "test", .metric = "top1", .higher_is_better = true, .values = {0.25, 0.75}}));
  RunResults results{.pipeline = "scored"};
  results.stages["finetune"] = stage;
  const RunFolder folder(folder_.path(), "scored");
  folder.write_lock("");
  folder.write_results(results);
  std::this_thread::sleep_for(std::chrono::milliseconds(600));  // as long as a look serves
  const json on_light = {true, true};
  const json on_dark = {true, false};
  for (const std::string page : {"", "report?run=scored"}) {
    Tab tab(*browser_, server_->address() + page);
    const json loaded = "complete";
    EXPECT_EQ(tab.settled("document.readyState", loaded), loaded) << page;
    const std::string name = page.empty() ? "serve" : "report";
    tab.show_as("screen", "light");
    EXPECT_EQ(tab.settled(readable, on_light), on_light) << page;
    look(tab, name + "-light");
    tab.show_as("screen", "dark");
    EXPECT_EQ(tab.settled(readable, on_dark), on_dark) << page;
    look(tab, name + "-dark");
    tab.show_as("print", "dark");
    EXPECT_EQ(tab.settled(readable, on_light), on_light) << page;
    EXPECT_EQ(tab.faults(), std::vector<std::string>{}) << page;
  }
}

}  // namespace
}  // namespace bissl::host::test
