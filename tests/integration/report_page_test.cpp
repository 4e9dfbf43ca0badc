// The report of a real sweep: its files, and its page in a browser.

#include "preview/canvas.h"
#include "program.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ReportPage : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    write_file(folder_->path() / "small.toml", small_pipeline());
    const fs::path file = folder_->path() / "grid.toml";
    write_file(file, R"(pipeline = "small.toml"
metric = ["finetune.test.top1", "finetune.test.loss"]
reference = "baseline.test.top1"
[axes]
"stage.bissl.hypergradient" = [{ use = "identity" }, { use = "cg", iterations = 1 }]
"stage.bissl.gamma" = [0.01, 0.5]
seed = [0, 1, 2]
)");
    sweep_ = run_bissl({"sweep", file.string(), "--out", (folder_->path() / "runs").string(),
                        "--threads", "1", "--jobs", "2"});
    report_ = run_bissl({"report", sweep_folder().string()});
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static fs::path sweep_folder() { return folder_->path() / "runs" / "grid"; }

  static TemporaryFolder* folder_;
  static Outcome sweep_;
  static Outcome report_;
};

TemporaryFolder* ReportPage::folder_ = nullptr;
Outcome ReportPage::sweep_;
Outcome ReportPage::report_;

TEST_F(ReportPage, WritesTablesAndPlots) {
  ASSERT_EQ(sweep_.code, 0) << sweep_.err;
  ASSERT_EQ(report_.code, 0) << report_.err;
  for (const char* text : {"Against the reference", "Against the baseline cell",
                           "Effect of each axis", "Time and memory", "peak MB"}) {
    EXPECT_NE(report_.out.find(text), std::string::npos) << text << "\n" << report_.out;
  }
  for (const char* name :
       {"report.html", "report.md", "report.runs.csv", "report.cells.csv", "report.effects.csv",
        "report.cells.svg", "report.curve-bissl-upper.svg", "report.curve-pretrain-loss.svg",
        "report.curve-finetune-loss.svg", "report.seconds.svg"}) {
    EXPECT_TRUE(fs::exists(sweep_folder() / name)) << name;
  }
  const std::string page = read_file(sweep_folder() / "report.html");
  // The xmlns is a name, not an address that anything is loaded from.
  for (const char* foreign : {"<link", "src=", "@import", "url(", "fetch("}) {
    EXPECT_EQ(page.find(foreign), std::string::npos) << foreign;
  }
}

TEST_F(ReportPage, FiguresAreThoseOfTheCells) {
  const json report = json::parse(
      run_bissl({"report", sweep_folder().string(), "--json", "--baseline", "gamma=0.5"}).out);
  ASSERT_EQ(report.at("cells").size(), 4U);
  EXPECT_EQ(report.at("higher_is_better"), true);
  const Outcome loss =
      run_bissl({"report", sweep_folder().string(), "--json", "--metric", "finetune.test.loss"});
  EXPECT_EQ(json::parse(loss.out).at("higher_is_better"), false) << loss.err;
  for (const json& cell : report.at("cells")) {
    double sum = 0;
    double reference = 0;
    for (const char* seed : {"0", "1", "2"}) {
      const json axes = cell.at("axes");
      const fs::path folder = sweep_folder() / "cells" /
                              ("hypergradient=" + axes.at("hypergradient").get<std::string>() +
                               ",gamma=" + axes.at("gamma").get<std::string>() + ",seed=" + seed);
      const json stages = json::parse(read_file(folder / "results.json")).at("stages");
      sum += stages.at("finetune").at("metrics").at("test").at("top1").at("mean").get<double>();
      reference +=
          stages.at("baseline").at("metrics").at("test").at("top1").at("mean").get<double>();
    }
    const json& top1 = cell.at("metrics").at("finetune.test.top1");
    EXPECT_EQ(top1.at("n"), 3);
    EXPECT_NEAR(top1.at("mean").get<double>(), sum / 3, 1e-12);
    EXPECT_NEAR(cell.at("to_reference").at("mean").get<double>(), (sum - reference) / 3, 1e-12);
    const bool is_baseline =
        cell.at("axes").at("gamma") == "0.5" && cell.at("axes").at("hypergradient") == "identity";
    EXPECT_EQ(cell.at("to_baseline").is_null(), is_baseline);
  }
  const Outcome wrong = run_bissl({"report", sweep_folder().string(), "--baseline", "gamma=7"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("the labels of gamma are 0.01 | 0.5"), std::string::npos) << wrong.err;
}

TEST_F(ReportPage, RunsAreReportedByTheirStagesAndRepeats) {
  const fs::path cell = sweep_folder() / "cells" / "hypergradient=identity,gamma=0.5,seed=0";
  const Outcome one = run_bissl({"report", cell.string(), "--to", folder_->path().string()});
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_NE(one.out.find("fine-tuning repeats"), std::string::npos) << one.out;
  EXPECT_NE(one.out.find("test.top1"), std::string::npos) << one.out;
  // Each arm has the time of the stages that it continues, and of no others.
  const std::string seconds = read_file(folder_->path() / "report.seconds.csv");
  EXPECT_TRUE(
      seconds.starts_with("stage,pretrain,baseline,bissl,finetune,all,peak MB\r\nbaseline,"))
      << seconds;
  const size_t baseline = seconds.find("\nbaseline,");
  EXPECT_NE(seconds.substr(baseline, seconds.find('\r', baseline) - baseline).find(",,,"),
            std::string::npos)
      << seconds;
  const fs::path other = sweep_folder() / "cells" / "hypergradient=identity,gamma=0.5,seed=1";
  const Outcome two = run_bissl({"report", cell.string(), other.string(), "--json"});
  ASSERT_EQ(two.code, 0) << two.err;
  EXPECT_EQ(json::parse(two.out).at("cells").size(), 4U);
  const Outcome none = run_bissl({"report", folder_->path().string()});
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.err.find("is neither a run's folder"), std::string::npos) << none.err;
}

/// The report is written when a run has its first results, and again when they change.
TEST_F(ReportPage, FollowsRunsThatChange) {
  const fs::path run = folder_->path() / "followed";
  fs::copy(sweep_folder() / "cells" / "hypergradient=identity,gamma=0.5,seed=0", run,
           fs::copy_options::recursive | fs::copy_options::skip_symlinks);
  const std::string results = read_file(run / "results.json");
  fs::remove(run / "results.json");
  const fs::path page = run / "report.html";
  const auto appears = [&] {
    for (int i = 0; i < 600 && !fs::exists(page); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return fs::exists(page);
  };
  BackgroundCall call({"report", run.string(), "--follow"});
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  write_file(run / "results.json", results);
  ASSERT_TRUE(appears());
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  fs::remove(page);
  write_file(run / "results.json", results + "\n");
  EXPECT_TRUE(appears());
  call.signal(SIGINT);
  const Outcome outcome = call.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("`bissl serve` shows curves"), std::string::npos) << outcome.err;

  const Outcome wrong = run_bissl({"report", run.string(), "--follow", "--json"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("leave out --json"), std::string::npos) << wrong.err;
}

/// What the page's document is after its script and `script` have run in headless Chromium.
std::string in_browser(const fs::path& page, const std::string& script, const fs::path& folder) {
  std::string text = read_file(page);
  const std::string watch =
      "<script>window.faults=[];addEventListener('error',e=>faults.push(e.message))</script>";
  text.insert(text.find("<title>"), watch);
  text.insert(text.rfind("</body>"), "<script>" + script + "</script>");
  const fs::path copy = folder / "page.html";
  write_file(copy, text);
  const fs::path dump = folder / "dump.html";
  const std::string command =
      "timeout 60 chromium --headless=new --no-sandbox --disable-gpu --user-data-dir='" +
      (folder / "profile").string() + "' --window-size=1000,900 --dump-dom 'file://" +
      copy.string() + "' >'" + dump.string() + "' 2>/dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0);
  return read_file(dump);
}

/// What a script has put into the body's data-answer.
json answer_of(const std::string& dom) {
  const size_t begin = dom.find("data-answer=\"");
  EXPECT_NE(begin, std::string::npos) << dom.substr(0, 2000);
  if (begin == std::string::npos) {
    return json::object();
  }
  std::string answer = dom.substr(begin + 13, dom.find('"', begin + 13) - begin - 13);
  for (size_t at = 0; (at = answer.find("&quot;", at)) != std::string::npos;) {
    answer.replace(at, 6, "\"");
  }
  return json::parse(answer);
}

/// Three samples as two networks place them, with thumbnails.
TEST_F(ReportPage, SamplesAnswerToPointerAndKeys) {
  if (std::system("command -v chromium >/dev/null") != 0) {
    GTEST_SKIP() << "Debian's package chromium is not installed";
  }
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  fs::create_directories(run / "look");
  const json metrics = {{"rankme", {{"mean", 3.0}, {"std", 0.0}, {"higher_is_better", true}}}};
  const json look = {{"format", 3},
                     {"kind", "analyse"},
                     {"from", ""},
                     {"key", "made"},
                     {"logs", json::array()},
                     {"losses", json::array()},
                     {"repeats", 1},
                     {"seconds", 1.0},
                     {"metrics", {{"test", metrics}}},
                     {"per_repeat", json::array({{{"test", {{"rankme", 3.0}}}}})}};
  const json results = {{"pipeline", "made"}, {"seed", 0}, {"stages", {{"look", look}}}};
  write_file(run / "results.json", results.dump());
  write_file(run / "look" / "pca-test.csv",
             "network,sample,class,x,y\n\"one\",\"a\",\"cat\",0,0\n\"one\",\"b\",\"dog\",4,1\n"
             "\"one\",\"c\",\"cat\",4,-3\n\"two\",\"a\",\"cat\",0,0\n\"two\",\"b\",\"dog\",-4,1\n"
             "\"two\",\"c\",\"cat\",4,-3\n");
  write_file(run / "look" / "thumbnails-test.png", Canvas(20, 20, 200).png());
  write_file(run / "look" / "neighbours-test.png", Canvas(30, 40, 200).png());
  const Outcome outcome = run_bissl({"report", run.string()});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string script = R"({
const box=document.querySelector('.spots'),canvas=box.querySelector('canvas');
const tip=document.getElementById('tip'),said=box.querySelector('.said'),heard=[];
const press=key=>{box.dispatchEvent(new KeyboardEvent('keydown',{key,cancelable:true}));
  heard.push(said.textContent)};
for(const key of ['ArrowRight','ArrowRight','ArrowDown','PageDown','ArrowLeft'])press(key);
const shown=tip.textContent,thumbnails=tip.querySelectorAll('canvas').length;
press('Escape');
const hidden=getComputedStyle(tip).opacity;
const place=canvas.getBoundingClientRect(),scale=place.width/760;
canvas.dispatchEvent(new PointerEvent('pointermove',{bubbles:true,
  clientX:place.x+scale*360*0.97,clientY:place.y+scale*(20+360*(0.5-0.94*0.5))}));
document.body.dataset.answer=JSON.stringify({faults,heard,shown,thumbnails,hidden,
  pointed:tip.textContent,seen:getComputedStyle(tip).opacity,
  images:[...document.querySelectorAll('figure img')].map(
    one=>[one.src.slice(0,22),one.alt,one.getBoundingClientRect().width]),
  legend:[...box.querySelectorAll('.legend li')].map(one=>one.textContent)});
})";
  const json seen = answer_of(in_browser(run / "report.html", script, folder.path()));
  EXPECT_EQ(seen.at("faults"), json::array());
  // From the first sample to the right, down, to the other network, where its left neighbour is a.
  const json heard = {"one: a\ncat", "one: b\ndog", "one: c\ncat",
                      "two: c\ncat", "two: a\ncat", "two: a\ncat"};
  EXPECT_EQ(seen.at("heard"), heard);
  EXPECT_EQ(seen.at("shown"), "a\ncat");
  EXPECT_EQ(seen.at("thumbnails"), 1);
  EXPECT_EQ(seen.at("hidden"), "0");
  EXPECT_EQ(seen.at("pointed"), "b\ndog");
  EXPECT_EQ(seen.at("seen"), "1");
  EXPECT_EQ(seen.at("legend"), (json{"cat", "dog"}));
  const json image = {"data:image/png;base64,", "look: nearest neighbours of images of data.test",
                      40};
  EXPECT_EQ(seen.at("images"), json::array({image}));
}

TEST_F(ReportPage, ShowsValuesOnHoverInABrowser) {
  if (std::system("command -v chromium >/dev/null") != 0) {
    GTEST_SKIP() << "Debian's package chromium is not installed";
  }
  const TemporaryFolder folder;
  const std::string script = R"({
const marks=[...document.querySelectorAll('svg rect.mean[data-tip]')];
const tip=document.getElementById('tip');
const box=marks[0].getBoundingClientRect();
marks[0].dispatchEvent(new PointerEvent('pointermove',
  {bubbles:true,clientX:box.x+2,clientY:box.y+2}));
const shown=tip.textContent,seen=getComputedStyle(tip).opacity;
document.body.dispatchEvent(new PointerEvent('pointermove',{bubbles:true}));
const wide=document.documentElement.scrollWidth>innerWidth;
document.body.dataset.answer=JSON.stringify({faults,marks:marks.length,shown,seen,
  hidden:getComputedStyle(tip).opacity,wide,
  blank:[...document.querySelectorAll('svg')].filter(s=>s.getBoundingClientRect().height<50).length,
  lost:[...document.querySelectorAll('svg [cx],svg [x]')].filter(
    m=>/NaN|inf/.test(m.getAttribute('cx')||m.getAttribute('x'))).length});
})";
  const json seen = answer_of(in_browser(sweep_folder() / "report.html", script, folder.path()));
  EXPECT_EQ(seen.at("faults"), json::array());
  EXPECT_GT(seen.at("marks").get<int>(), 10);
  EXPECT_NE(seen.at("shown").get<std::string>().find("identity, 0.01"), std::string::npos) << seen;
  EXPECT_NE(seen.at("shown").get<std::string>().find("95 % interval"), std::string::npos) << seen;
  EXPECT_EQ(seen.at("seen"), "1");
  EXPECT_EQ(seen.at("hidden"), "0");
  EXPECT_EQ(seen.at("wide"), false);
  EXPECT_EQ(seen.at("blank"), 0);
  EXPECT_EQ(seen.at("lost"), 0);
}

}  // namespace
}  // namespace bissl::host::test
