#include "report/learnt.h"

#include "report/gather.h"
#include "report/learnt_figures.h"
#include "store/run_results.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

namespace bissl::host::test {
namespace {

/// One value for each network that a run has side by side.
using Values = std::vector<double>;

MetricResult metric(const std::string& name, std::optional<bool> higher, const Values& values) {
  return summarised({.data = "test", .metric = name, .higher_is_better = higher, .values = values});
}
MetricResult metric(const std::string& name, std::optional<bool> higher, double value) {
  return metric(name, higher, Values{value});
}

StageResults look(const Values& rankme, double cka) {
  StageResults results;
  results.kind = "analyse";
  results.repeats = static_cast<int64_t>(rankme.size());
  const auto each = [&](double value) { return Values(rankme.size(), value); };
  results.metrics = {metric("rankme", true, rankme), metric("cka_scratch", std::nullopt, each(cka)),
                     metric("rankme_map1", true, each(1))};
  return results;
}

/// A PNG as far as it is read, of 20 × 20 pixels.
std::string beginning_of_png() {
  return std::string("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x14\0\0\0\x14", 24);
}

class LearntTest : public ::testing::Test {
 protected:
  /// A run of one seed in which two stages have looked.
  void add_run(const std::string& seed, const Values& one, const Values& other) {
    const std::filesystem::path run = folder_.path() / seed;
    std::filesystem::create_directories(run / "look-a");
    RunResults results{.pipeline = "p", .seed = 0};
    results.stages["look-a"] = look(one, 0.5);
    results.stages["look-b"] = look(other, 0.25);
    write_file(run / "results.json", results.to_json().dump());
    write_file(
        run / "look-a" / "pca-test.csv",
        "network,sample,class,x,y\n\"a\",\"s \"\"1\"\"\",\"cat, big\",0,1\n"
        "\"a\",\"s2\",\"dog\",2,3\n\"b\",\"s1\",\"cat, big\",-1,0\n\"b\",\"s2\",\"dog\",x,0\n");
    data_.observations.push_back({.choices = {}, .repetition = seed, .metrics = {}, .folder = run});
  }
  static std::string text(const ReportTable& table, size_t row, size_t column) {
    return table.rows.at(row).at(column).text;
  }

  TemporaryFolder folder_;
  ReportData data_;
};

TEST_F(LearntTest, StagesAreComparedByRepetition) {
  add_run("seed 0", {4}, {3});
  add_run("seed 1", {6}, {4});
  add_run("seed 2", {5}, {2});
  const std::vector<ReportSection> sections = learnt_sections(data_);
  ASSERT_EQ(sections.size(), 2U);
  const ReportTable& figures = sections[0].tables.at(0);
  ASSERT_EQ(figures.rows.size(), 2U);  // but for the figure of a level of maps, which comes after
  EXPECT_EQ(text(figures, 0, 0), "test.cka_scratch");
  EXPECT_EQ(text(figures, 0, 1), "–");
  EXPECT_EQ(text(figures, 1, 1), "more");
  EXPECT_EQ(text(figures, 1, 2), "5.0000");
  EXPECT_EQ(text(figures, 1, 3), "3.0000");
  const ReportTable& levels = sections[0].tables.at(1);
  EXPECT_EQ(levels.name, "learnt-levels");
  ASSERT_EQ(levels.rows.size(), 1U);
  EXPECT_EQ(text(levels, 0, 0), "test.rankme_map1");
  EXPECT_EQ(text(levels, 0, 2), "1.0000");
  EXPECT_EQ(sections[1].title, "What did look-b learn more than look-a?");
  const ReportTable& differences = sections[1].tables.at(0);
  ASSERT_EQ(differences.rows.size(), 1U);  // a figure without a direction is not tested
  EXPECT_EQ(text(differences, 0, 2), "3");
  EXPECT_EQ(text(differences, 0, 3), "-2.0000");
  // Student's t(0.975, 2) = 4.3027 times a deviation of 1 over √3.
  EXPECT_NEAR(*differences.rows[0][4].numbers.at(0), -2 - 4.302653 / std::sqrt(3.0), 1e-5);
  EXPECT_EQ(text(differences, 0, 5), "0.2500");  // two of eight sign patterns
  EXPECT_EQ(text(differences, 0, 6), "0.2500");
  EXPECT_NE(sections[1].paragraphs.at(0).find("no adjusted p can be less than 0.2500"),
            std::string::npos)
      << sections[1].paragraphs.at(0);
}

/// As where an ablation varies which stage another one is as long as.
TEST_F(LearntTest, CellsOfAnAxisOfStagesAreNoRepetitions) {
  add_run("seed 0", {4}, {3});
  add_run("seed 1", {6}, {4});
  data_.axes.push_back({.name = "stage", .labels = {"short", "long"}, .baseline = 0});
  data_.metrics = {"tune.test.top1"};
  data_.observations[0].choices = {0};
  data_.observations[1].choices = {1};
  const Learnt learnt = gather_learnt(data_);
  EXPECT_EQ(learnt.axes, 1U);
  std::set<std::vector<size_t>> cells;
  for (const auto& [place, figure] : learnt.figures) {
    cells.insert(place.first);
    EXPECT_EQ(figure.of_stages.at("look-a").size(), 1U) << place.second;
  }
  EXPECT_EQ(cells.size(), 2U);
}

/// Networks that one run has side by side share what comes before them.
TEST_F(LearntTest, NetworksOfARunAreNoPairsWhereThereAreSeveralRuns) {
  add_run("seed 0", {4, 5, 6}, {1, 2, 3});
  EXPECT_EQ(text(learnt_sections(data_).at(1).tables.at(0), 0, 2), "3");
  add_run("seed 1", {7, 8, 9}, {2, 3, 4});
  const ReportTable differences = learnt_sections(data_).at(1).tables.at(0);
  EXPECT_EQ(text(differences, 0, 2), "2");
  EXPECT_EQ(text(differences, 0, 3), "-4.0000");
  EXPECT_EQ(text(differences, 0, 5), "0.5000");  // two of four sign patterns
}

/// The arm of the reference is what is subtracted, whatever the stages' names; a small family is
/// tested.
TEST_F(LearntTest, ArmsAreComparedWithTheReferenceByFewFigures) {
  for (int seed = 0; seed < 8; ++seed) {
    const std::filesystem::path run = folder_.path() / std::to_string(seed);
    std::filesystem::create_directories(run);
    RunResults results{.pipeline = "p", .seed = 0};
    results.stages["longer"].kind = "pretrain";
    results.stages["bissl"].kind = "bissl";
    results.stages["bissl"].details["solves"] = nlohmann::json::object();
    results.stages["tune"].kind = "finetune";
    results.stages["tune"].key = "tune";
    results.stages["tune"].from = "longer";
    for (const auto& [stage, from, more] :
         {std::tuple("look-a", "bissl", 0.125), std::tuple("look-b", "longer", 0.0)}) {
      StageResults& look = results.stages[stage];
      look.kind = "analyse";
      look.key = stage;
      look.from = from;
      look.metrics = {metric("knn20_top1", true, 0.5 + more),
                      metric("knn5_top1", true, 0.5 + more),
                      metric("logistic_top1", true, 0.5 + more),
                      metric("logistic_loss", false, 0.5 - more),
                      metric("silhouette", true, seed % 2 == 0 ? more : -more),
                      metric("nc1_map2", false, 0.5 - more)};
    }
    write_file(run / "results.json", results.to_json().dump());
    data_.observations.push_back({.choices = {},
                                  .repetition = std::to_string(seed),
                                  .metrics = {{"tune.test.top1", 0.5}},
                                  .folder = run});
  }
  data_.metrics = {"tune.test.top1"};
  for (const char* reference : {"tune.test.top1", "look-b.test.knn20_top1", ""}) {
    data_.reference = reference;
    const std::vector<ReportSection> sections = learnt_sections(data_);
    ASSERT_EQ(sections.size(), 2U);
    EXPECT_EQ(sections[1].title, "What did bissl learn more than longer?") << reference;
    EXPECT_EQ(sections[1].paragraphs.at(0),
              "bissl is ahead of longer in test.knn20_top1 (+0.1250), test.logistic_top1 "
              "(+0.1250); it is behind in none; the runs do not tell the two apart in "
              "test.silhouette (+0.0000).");
    const ReportTable& table = sections[1].tables.at(0);
    ASSERT_EQ(table.rows.size(), 5U);
    EXPECT_EQ(text(table, 2, 0), "test.silhouette");
    EXPECT_EQ(text(table, 0, 6), "0.0234");  // three times 2/2⁸
    EXPECT_EQ(text(table, 3, 0), "test.knn5_top1");
    EXPECT_EQ(text(table, 3, 6), "–");
    EXPECT_EQ(text(table, 4, 0), "test.logistic_loss");
    EXPECT_EQ(text(table, 4, 6), "–");
  }
  data_.reference = "look-a.test.knn20_top1";
  EXPECT_EQ(learnt_sections(data_).at(1).title, "What did longer learn more than bissl?");

  const nlohmann::json json = report_json(data_, Report{}).at("learnt");
  EXPECT_EQ(json.at("arms").at("look-b"), "longer");
  EXPECT_EQ(json.at("reference"), "look-a");
  EXPECT_EQ(json.at("figures").size(), 5U);
  ASSERT_EQ(json.at("levels").size(), 1U);
  EXPECT_EQ(json.at("levels").at(0).at("figure"), "test.nc1_map2");
  EXPECT_EQ(json.at("levels").at(0).at("stages").at("look-a").at("n"), 8);
  EXPECT_EQ(json.at("figures").at(0).at("stages").at("look-a").at("n"), 8);
  const nlohmann::json& first = json.at("differences").at(0);
  EXPECT_EQ(first.at("figure"), "test.knn20_top1");
  EXPECT_EQ(first.at("mean"), -0.125);
  EXPECT_NEAR(first.at("adjusted_p").get<double>(), 3 * 2 / 256.0, 1e-12);
  EXPECT_TRUE(json.at("differences").at(4).at("adjusted_p").is_null());
}

/// Whatever its kind is called.
TEST_F(LearntTest, StagesThatDescribeAreFoundByWhatTheirResultsSay) {
  RunResults results{.pipeline = "p", .seed = 0};
  StageResults figures = look({4}, 0.5);
  figures.kind = "another";
  figures.describes = true;
  results.stages["look-a"] = figures;
  results.stages["tuned"].kind = "finetune";
  results.stages["tuned"].metrics = {metric("top1", true, 0.75)};
  std::filesystem::create_directories(folder_.path() / "run" / "look-a");
  write_file(folder_.path() / "run" / "results.json", results.to_json().dump());
  const ReportData data = gather({folder_.path() / "run"}, "");
  EXPECT_EQ(data.metrics, std::vector<std::string>{"test.top1"});
  ASSERT_EQ(learnt_sections(data).at(0).tables.size(), 2U);
}

/// A report of one run has a row for each stage; the section has none of its own for that.
TEST_F(LearntTest, ReportsOfRunsLeaveTheFiguresToTheSection) {
  add_run("run", {4}, {3});
  RunResults results{.pipeline = "p", .seed = 0};
  results.stages["look-a"] = look({4}, 0.5);
  results.stages["tuned"].kind = "finetune";
  results.stages["tuned"].metrics = {metric("top1", true, 0.75)};
  write_file(folder_.path() / "run" / "results.json", results.to_json().dump());
  const ReportData data = gather({folder_.path() / "run"}, "");
  EXPECT_EQ(data.metrics, std::vector<std::string>{"test.top1"});
  const std::vector<ReportSection> sections = learnt_sections(data);
  ASSERT_EQ(sections.size(), 1U);
  const ReportSection& section = sections.front();
  EXPECT_EQ(text(section.tables[0], 1, 0), "test.rankme");
  EXPECT_EQ(gather({folder_.path() / "run"}, "test.rankme").metrics.front(), "test.rankme");
}

TEST_F(LearntTest, PicturesHaveTheNetworksSideBySide) {
  add_run("seed 0", {4}, {3});
  const ReportSection section = learnt_sections(data_).at(0);
  ASSERT_EQ(section.plots.size(), 1U);
  EXPECT_EQ(section.plots[0].title, "look-a: principal components of data.test");
  const std::string& svg = section.plots[0].svg;
  EXPECT_NE(svg.find("s &quot;1&quot;\ncat, big"), std::string::npos) << svg;
  size_t spots = 0;
  for (size_t at = svg.find("<circle"); at != std::string::npos; at = svg.find("<circle", at + 1)) {
    ++spots;
  }
  EXPECT_EQ(spots, 3U);  // a line whose number is none is left out
}

/// The page draws the samples on a canvas, with the thumbnails that lie beside the picture.
TEST_F(LearntTest, PagesHaveAllSamplesAndTheirThumbnails) {
  add_run("seed 0", {4}, {3});
  const std::filesystem::path folder = folder_.path() / "seed 0" / "look-a";
  std::string png = beginning_of_png();  // two samples, so two columns, of 10 pixels
  write_file(folder / "thumbnails-test.png", png);
  const Plot plot = learnt_sections(data_).at(0).plots.at(0);
  EXPECT_NE(plot.page.find(R"("names":["s \"1\"","s2"])"), std::string::npos) << plot.page;
  EXPECT_NE(plot.page.find(R"("columns":2)"), std::string::npos) << plot.page;
  EXPECT_NE(plot.page.find(R"("side":10)"), std::string::npos) << plot.page;
  ASSERT_EQ(plot.elements.size(), 1U);
  EXPECT_NE(plot.elements.begin()->second.find("iVBORw0KGgoAAAANSUhEUgAAABQAAAAU<"),
            std::string::npos);

  // What is no such sheet, or too much for a page, is left out.
  png[19] = 21;
  write_file(folder / "thumbnails-test.png", png);
  EXPECT_TRUE(learnt_sections(data_).at(0).plots.at(0).elements.empty());
  png[19] = 20;
  write_file(folder / "thumbnails-test.png", png + std::string(1 << 20, 'x'));
  EXPECT_TRUE(learnt_sections(data_).at(0).plots.at(0).elements.empty());
}

/// Neighbours and saliency are sheets of images; what they show is said in words, too.
TEST_F(LearntTest, SheetsOfImagesAreShownWithWords) {
  add_run("seed 0", {4}, {3});
  const std::filesystem::path folder = folder_.path() / "seed 0" / "look-a";
  write_file(folder / "neighbours-test.png", beginning_of_png());
  write_file(
      folder / "neighbours-test.csv",
      "query,class,rank,neighbour,neighbour class,cosine,query number\n"
      "\"a, b\",\"cat\",1,\"x\",\"cat\",0.9000,0\n\"a, b\",\"cat\",2,\"y\",\"dog\",0.8000,0\n"
      "\"a, b\",\"dog\",1,\"x\",\"cat\",0.9000,5\n\"a, b\",\"dog\",2,\"y\",\"dog\",0.8000,5\n"
      "edited\n");
  write_file(folder / "saliency-test.png", beginning_of_png());
  write_file(folder / "saliency-test.csv",
             "sample,explained class,network,probe,taken for,probability,hottest row,hottest "
             "column\n\"a\",\"cat\",\"tuned\",\"head\",\"cat\",0.9000,0,0\n"
             "\"a\",\"cat\",\"before\",\"moco\",\"dog\",0.2000,1,1\n"
             "\"b\",\"dog\",\"tuned\",\"head\",\"dog\",0.8000,0,0\n"
             "\"b\",\"dog\",\"before\",\"moco\",\"dog\",0.6000,1,1\n");
  const ReportSection section = learnt_sections(data_).at(0);
  EXPECT_TRUE(section.notes.empty()) << section.notes.front();
  ASSERT_EQ(section.images.size(), 2U);
  const ReportImage& neighbours = section.images[0];
  EXPECT_EQ(neighbours.name, "learnt-look-a-neighbours-test");
  EXPECT_EQ(neighbours.title, "look-a: nearest neighbours of images of data.test");
  EXPECT_EQ(neighbours.alt,
            "A row for each of 2 images, with 4 neighbours in all; 2 of 4 have the image's class.");
  EXPECT_EQ(neighbours.png, beginning_of_png());
  EXPECT_EQ(neighbours.width, 20);
  EXPECT_EQ(neighbours.height, 20);
  const ReportImage& saliency = section.images[1];
  EXPECT_EQ(saliency.title, "look-a: what speaks for the classes of images of data.test");
  EXPECT_NE(saliency.words.find("of tuned (by its head), before (by its moco)"), std::string::npos)
      << saliency.words;
  EXPECT_EQ(saliency.alt,
            "A row for each image, alone and under heat; tuned takes 2 of 2 for the class that is "
            "explained; before takes 1 of 2 for the class that is explained.");

  // Without its table a sheet is shown under its title; one without classes says so.
  std::filesystem::remove(folder / "saliency-test.csv");
  write_file(folder / "neighbours-test.csv",
             "query,class,rank,neighbour,neighbour class,cosine,query number\n"
             "\"a\",\"\",1,\"x\",\"\",0.9000,0\n");
  const std::vector<ReportImage> images = learnt_sections(data_).at(0).images;
  ASSERT_EQ(images.size(), 2U);
  EXPECT_EQ(images[0].alt,
            "A row for each of 1 images, with 1 neighbours in all; their classes are not known.");
  EXPECT_EQ(images[1].alt, images[1].title);
}

TEST_F(LearntTest, SheetsThatAPageCannotCarryAreNamed) {
  add_run("seed 0", {4}, {3});
  const std::filesystem::path folder = folder_.path() / "seed 0" / "look-a";
  write_file(folder / "neighbours-broken.png", "no picture");
  write_file(folder / "neighbours-large.png", beginning_of_png() + std::string(9 << 20, 'x'));
  for (const char* name : {"saliency-a.png", "saliency-b.png", "saliency-c.png"}) {
    write_file(folder / name, beginning_of_png() + std::string(7 << 20, 'x'));
  }
  const ReportSection section = learnt_sections(data_).at(0);
  ASSERT_EQ(section.images.size(), 2U);
  EXPECT_EQ(section.images[1].title, "look-a: what speaks for the classes of images of data.b");
  const std::vector<std::string> notes = {
      "Left out: the picture neighbours-broken.png of look-a: it is no PNG.",
      "Left out: the picture neighbours-large.png of look-a: it has 9.0 MiB, and a page shows "
      "pictures of at most 8.0 MiB.",
      "Left out: the picture saliency-c.png of look-a: all pictures of a page have at most 16.0 "
      "MiB."};
  EXPECT_EQ(section.notes, notes);
}

/// The files that a stage leaves of two classifiers and three classes, one of which has no images.
void write_class_pictures(const std::filesystem::path& folder) {
  write_file(folder / "accuracy-test.csv",
             "class,samples,\"kNN with k = 5\",\"head\"\n\"cat\",4,0.750000,1.000000\n"
             "\"dog, <b>\",4,0.500000,0.750000\n\"owl\",0,,\n");
  write_file(folder / "confusion-test.csv",
             "class,\"cat\",\"dog, <b>\",\"owl\"\n\"cat\",3,1,0\n\"dog, <b>\",0,2,2\n"
             "\"owl\",0,0,0\n");
  write_file(folder / "confusion-test-head.csv",
             "class,\"cat\",\"dog, <b>\",\"owl\"\n\"cat\",4,0,0\n\"dog, <b>\",1,3,0\n"
             "\"owl\",0,0,0\n");
  write_file(folder / "reliability-test.csv",
             "probe,low,high,samples,confidence,accuracy\n\"head\",0.000000,0.500000,0,,\n"
             "\"head\",0.500000,0.750000,4,0.700000,0.500000\n"
             "\"head\",0.750000,1.000000,4,0.900000,1.000000\n");
}

/// What is classified how is drawn, and said for those who do not see it.
TEST_F(LearntTest, ClassesHaveASectionOfEachArm) {
  add_run("seed 0", {4}, {3});
  write_class_pictures(folder_.path() / "seed 0" / "look-a");
  const std::vector<ReportSection> sections = learnt_sections(data_);
  ASSERT_EQ(sections.size(), 3U);
  const ReportSection& section = sections[2];
  EXPECT_EQ(section.title, "How well does look-a tell classes apart?");
  EXPECT_TRUE(section.notes.empty()) << section.notes.front();
  ASSERT_EQ(section.paragraphs.size(), 4U);
  EXPECT_EQ(section.paragraphs[1],
            "kNN with k = 5 takes 5 of 8 images of data.test for their class; most often it takes "
            "dog, <b> for owl (2 of 4).");
  EXPECT_EQ(section.paragraphs[2],
            "head takes 7 of 8 images of data.test for their class; most often it takes dog, <b> "
            "for cat (1 of 4).");
  EXPECT_EQ(section.paragraphs[3],
            "The confidences of head on data.test miss the shares of right answers by 0.1500 on "
            "average (ECE, 8 images).");
  ASSERT_EQ(section.tables.size(), 1U);
  const ReportTable& table = section.tables[0];
  EXPECT_EQ(table.name, "learnt-look-a-accuracy-test");
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(text(table, 1, 0), "dog, <b>");
  EXPECT_EQ(text(table, 1, 1), "4");
  EXPECT_EQ(text(table, 1, 3), "0.7500");
  EXPECT_EQ(text(table, 2, 2), "–");
  ASSERT_EQ(section.plots.size(), 3U);
  EXPECT_EQ(section.plots[0].title,
            "look-a: what kNN with k = 5 takes the classes of data.test for");
  EXPECT_EQ(section.plots[0].name, "learnt-look-a-confusion-test");
  const std::string& svg = section.plots[0].svg;
  EXPECT_NE(
      svg.find("fill-opacity=\"0.50\" data-tip=\"dog, &lt;b&gt; taken for owl: 2 of 4 (50.0 %)\""),
      std::string::npos)
      << svg;
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos) << svg;
  EXPECT_EQ(section.plots[1].name, "learnt-look-a-confusion-test-head");
  EXPECT_EQ(section.plots[2].name, "learnt-look-a-reliability-test");
  EXPECT_NE(section.plots[2].svg.find("head: ECE 0.1500"), std::string::npos)
      << section.plots[2].svg;
}

TEST_F(LearntTest, ClassPicturesThatWereChangedAreNamed) {
  add_run("seed 0", {4}, {3});
  const std::filesystem::path folder = folder_.path() / "seed 0" / "look-a";
  write_class_pictures(folder);
  std::filesystem::remove(folder / "confusion-test.csv");
  write_file(folder / "confusion-test-head.csv", "class,\"cat\",\"dog\"\n\"cat\",4,many\n");
  write_file(folder / "reliability-test.csv", "probe\n");
  write_file(folder / "accuracy-empty.csv", "");
  const std::vector<std::string> notes = {
      "Left out: the accuracies by class of data.empty: accuracy-empty.csv of look-a was changed.",
      "Left out: what kNN with k = 5 confuses of data.test: confusion-test.csv of look-a is "
      "missing, or was changed.",
      "Left out: what head confuses of data.test: confusion-test-head.csv of look-a is missing, or "
      "was changed.",
      "Left out: the confidences on data.test: reliability-test.csv of look-a was changed."};
  EXPECT_EQ(learnt_sections(data_).back().notes, notes);
}

/// Many classes: those with the lowest accuracies, and no plot whose rows nobody could read.
TEST_F(LearntTest, OfManyClassesTheWorstAreListed) {
  add_run("seed 0", {4}, {3});
  const std::filesystem::path folder = folder_.path() / "seed 0" / "look-a";
  std::string accuracies = "class,samples,\"head\"\n";
  std::string titles = "class";
  std::string rows;
  for (int i = 0; i < 40; ++i) {
    accuracies += "\"c" + std::to_string(i) + "\",1," + (i < 10 ? "1" : "0") + ".000000\n";
    titles += ",\"c" + std::to_string(i) + "\"";
    rows += "\"c" + std::to_string(i) + "\"";
    for (int k = 0; k < 40; ++k) {
      rows += k == (i < 10 ? i : 0) ? ",1" : ",0";
    }
    rows += "\n";
  }
  write_file(folder / "accuracy-test.csv", accuracies);
  write_file(folder / "confusion-test-head.csv", titles + "\n" + rows);
  const ReportSection section = learnt_sections(data_).back();
  ASSERT_EQ(section.tables.size(), 1U);
  ASSERT_EQ(section.tables[0].rows.size(), 30U);
  EXPECT_EQ(text(section.tables[0], 0, 0), "c10");
  EXPECT_TRUE(section.plots.empty());
  const std::vector<std::string> notes = {
      "The table has the 30 of 40 classes of data.test with the lowest accuracy of head; "
      "accuracy-test.csv of look-a has all.",
      "Left out: the plot of what head confuses of data.test: there are 40 classes, and a plot has "
      "at most 32. confusion-test-head.csv of look-a has the numbers."};
  EXPECT_EQ(section.notes, notes);
  EXPECT_EQ(section.paragraphs.at(1),
            "head takes 10 of 40 images of data.test for their class; most often it takes c10 for "
            "c0 (1 of 1).");
}

/// Names are data: none ends the element that it is in.
TEST_F(LearntTest, NamesOfSamplesAreNoMarkup) {
  add_run("seed 0", {4}, {3});
  write_file(folder_.path() / "seed 0" / "look-a" / "pca-test.csv",
             "network,sample,class,x,y\n\"a\",\"</script><b>\",\"<i>\",0,1\n");
  const Plot plot = learnt_sections(data_).at(0).plots.at(0);
  EXPECT_NE(plot.page.find("\\u003c/script>\\u003cb>"), std::string::npos) << plot.page;
  EXPECT_EQ(plot.page.find("</script><b>"), std::string::npos);
  EXPECT_NE(plot.page.find("&lt;i&gt;"), std::string::npos);
}

TEST_F(LearntTest, RunsWithoutSuchStagesHaveNoSection) {
  data_.observations.push_back(
      {.choices = {}, .repetition = "seed 0", .metrics = {}, .folder = folder_.path()});
  EXPECT_TRUE(learnt_sections(data_).empty());
}

}  // namespace
}  // namespace bissl::host::test
