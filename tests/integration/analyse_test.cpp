// Stages of kind `analyse`: what their results and files hold, and what they refuse.

#include "run_fixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace bissl::host::test {
namespace {

/// Arms that share nothing but the data, and stages that look at them, written before they are.
const std::string looks = R"(
[stage.look]
kind     = "analyse"
from     = "pretrain"
data     = ["test", "images"]
bank     = "labelled"
k        = [1, 5]
compare  = ["other", "scratch"]
augment  = { use = "evaluation", size = 8 }
pictures = ["pca", "tsne", "umap", "neighbours", "confusion"]
probe    = ["logistic", "mae"]
samples  = 40
layers   = ["rankme", "cka"]
batch    = 16

[stage.look.pairs]
augment = { use = "simclr", size = 8 }
count   = 3
samples = 20

[stage.random]
kind    = "analyse"
from    = "scratch"
data    = "test"
compare = "scratch"
augment = { use = "evaluation", size = 8 }
figures = ["rankme", "cka", "silhouette"]
pictures = []

[stage.other]
like = "pretrain"
steps = 3
)";

/// A short fine-tuning and a look at it by its head, beside an arm that has none.
const std::string headed = R"(
[stage.tuned]
kind       = "finetune"
from       = "pretrain"
data       = "labelled"
augment    = { use = "supervised", size = 8 }
downstream = { use = "classification" }
optimizer  = { use = "sgd", lr = 0.05 }
batch      = 8
steps      = 2
evaluate   = { data = "test", augment = { use = "evaluation", size = 8 } }

[stage.headed]
kind     = "analyse"
from     = "tuned"
data     = "test"
bank     = "labelled"
probe    = ["head", "moco"]
compare  = "pretrain"
augment  = { use = "evaluation", size = 8 }
pictures = ["reliability", "saliency", "confusion"]
figures  = ["rankme"]
layers   = []
)";

/// The small pipeline's data and pretraining, and the looks.
std::string analysed() {
  const std::string text = small_pipeline();
  return text.substr(0, text.find("[stage.bissl]")) + looks;
}

nlohmann::json stages_in(const std::filesystem::path& run) {
  return nlohmann::json::parse(read_file(run / "results.json")).at("stages");
}

TEST_F(RunTest, AnalyseMeasuresAndDrawsWhatArmsHaveLearnt) {
  write_file(file_, analysed());
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto stages = stages_in(out_ / "small");
  const auto& look = stages.at("look").at("metrics");
  for (const char* name : {"knn1_top1",
                           "knn5_top1",
                           "logistic_top1",
                           "logistic_loss",
                           "nc3",
                           "rankme",
                           "silhouette",
                           "nc1",
                           "lidar",
                           "mae_top1",
                           "mae_loss",
                           "logistic_ece",
                           "alignment",
                           "cka_other",
                           "cka_scratch",
                           "debiased_cka_other",
                           "rankme_map1",
                           "cka_other_map4",
                           "pca_trustworthiness",
                           "tsne_trustworthiness",
                           "umap_trustworthiness"}) {
    EXPECT_TRUE(look.at("test").contains(name)) << name << look.at("test").dump(1);
  }
  EXPECT_EQ(look.at("test").at("nc1").at("higher_is_better"), false);
  EXPECT_FALSE(look.at("test").at("cka_other").contains("higher_is_better"));
  EXPECT_LT(look.at("test").at("cka_scratch").at("mean"), 1.0);

  // The same network looks like itself; and what has no value says why.
  const auto& random = stages.at("random");
  EXPECT_NEAR(random.at("metrics").at("test").at("cka_scratch").at("mean").get<double>(), 1, 1e-9);
  EXPECT_TRUE(stages.at("look").contains("left_out"));

  const std::filesystem::path folder = out_ / "small" / "look";
  for (const char* file : {"pca-test", "tsne-test", "umap-test", "pca-images"}) {
    EXPECT_NE(read_file(folder / (std::string(file) + ".svg")).find("<title>"), std::string::npos);
    const std::string csv = read_file(folder / (std::string(file) + ".csv"));
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 3 * 40) << file;
  }
  for (const char* file : {"neighbours-test.png", "thumbnails-test.png", "pca-test.png",
                           "tsne-test.png", "umap-test.png"}) {
    EXPECT_EQ(read_file(folder / file).substr(1, 3), "PNG") << file;
  }
  const std::string neighbours = read_file(folder / "neighbours-test.csv");
  EXPECT_EQ(std::count(neighbours.begin(), neighbours.end(), '\n'), 1 + 8 * 6);
  EXPECT_EQ(std::filesystem::exists(folder / "confusion-test.csv"), true);
  EXPECT_FALSE(std::filesystem::exists(out_ / "small" / "random" / "pca-test.svg"));

  // What a batch holds does not matter, nor the threads; another arm makes the look another one.
  const Outcome again =
      run_bissl({"run", file_.string(), "--out", out_.string(), "--threads", "2", "--set",
                 "stage.random.batch=7", "--set", "stage.other.steps=2"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find("pretrain: already in the store"), std::string::npos) << again.err;
  EXPECT_EQ(again.err.find("look: already in the store"), std::string::npos) << again.err;
  EXPECT_NEAR(
      stages_in(out_ / "small").at("random").at("metrics").at("test").at("rankme").at("mean"),
      random.at("metrics").at("test").at("rankme").at("mean").get<double>(), 1e-4);
}

/// An ablation may ask for each of the figures that a look gives.
TEST_F(RunTest, WhatALookGivesIsKnownBeforehand) {
  write_file(file_, analysed());
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::string metrics;
  const auto stages = stages_in(out_ / "small");
  for (const auto& [data, found] : stages.at("look").at("metrics").items()) {
    for (const auto& [metric, value] : found.items()) {
      metrics += fmt::format("\"look.{}.{}\", ", data, metric);
    }
  }
  const std::filesystem::path ablation = file_.parent_path() / "all.toml";
  write_file(ablation, fmt::format("pipeline = \"{}\"\nmetric = [{}]\n[axes]\nseed = [0]\n",
                                   file_.string(), metrics));
  const Outcome plan =
      run_bissl({"sweep", ablation.string(), "--plan", "--out", out_.string(), "--threads", "1"});
  EXPECT_EQ(plan.code, 0) << plan.err;
}

/// What few samples do not allow is left out, with the reason, and ends no stage; and it is not
/// promised.
TEST_F(RunTest, WhatFewSamplesDoNotAllowIsLeftOut) {
  write_file(file_, analysed());
  const std::vector<std::string> few = {"--set", "data.test.limit=3",
                                        "--set", "stage.look.samples=20",
                                        "--set", "stage.look.compare=[\"scratch\"]",
                                        "--set", "stage.look.pictures=[\"pca\",\"tsne\",\"umap\"]"};
  const Outcome outcome = run_bissl(call("run", few));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto look = stages_in(out_ / "small").at("look");
  const auto& left_out = look.at("left_out");
  for (const auto& [name, part] :
       {std::pair("test.tsne", "t-SNE places 4 samples at least, and there are 3"),
        std::pair("test.tsne_trustworthiness", "t-SNE places 4 samples at least"),
        std::pair("test.umap", "UMAP places 4 samples at least, and there are 3"),
        std::pair("test.pca_trustworthiness", "too few samples"), std::pair("test.nc3", ""),
        std::pair("images.pca_trustworthiness", "too few samples"),
        std::pair("images.umap_trustworthiness", "too few samples")}) {
    ASSERT_TRUE(left_out.contains(name)) << name << left_out.dump(1);
    EXPECT_NE(left_out.at(name).get<std::string>().find(part), std::string::npos)
        << name << left_out.dump(1);
  }
  const std::filesystem::path folder = out_ / "small" / "look";
  EXPECT_FALSE(std::filesystem::exists(folder / "tsne-test.svg"));
  EXPECT_TRUE(std::filesystem::exists(folder / "pca-test.svg"));
  EXPECT_TRUE(std::filesystem::exists(folder / "tsne-images.svg"));

  const std::filesystem::path ablation = file_.parent_path() / "few.toml";
  write_file(ablation, fmt::format("pipeline = \"{}\"\nmetric = "
                                   "[\"look.images.pca_trustworthiness\"]\n[set]\n"
                                   "\"stage.look.samples\" = 20\n[axes]\nseed = [0]\n",
                                   file_.string()));
  EXPECT_EQ(
      run_bissl({"sweep", ablation.string(), "--plan", "--out", out_.string(), "--threads", "1"})
          .code,
      2);
}

TEST_F(RunTest, QueriesAreThoseThatAreNamedAndAnglesAreInTheResults) {
  write_file(file_, analysed());
  const Outcome outcome = run_bissl(call(
      "run", {"--set", "stage.look.queries=[7,2]", "--set", "stage.look.pictures=[\"neighbours\"]",
              "--set", "stage.look.compare=[\"scratch\"]", "--set", "stage.look.data=[\"test\"]"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string csv = read_file(out_ / "small" / "look" / "neighbours-test.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 2 * 6);
  EXPECT_EQ(csv.substr(0, csv.find('\n')),
            "query,class,rank,neighbour,neighbour class,cosine,query number");
  const size_t first = csv.find(",7\n");
  EXPECT_NE(first, std::string::npos) << csv;
  EXPECT_LT(first, csv.find(",2\n")) << csv;

  const auto look = stages_in(out_ / "small").at("look");
  const auto& cosines = look.at("principal_cosines").at("test").at("scratch");
  EXPECT_FALSE(cosines.empty());
  double squares = 0;
  for (const auto& cosine : cosines) {
    squares += cosine.get<double>() * cosine.get<double>();
  }
  EXPECT_NEAR(squares / static_cast<double>(cosines.size()),
              look.at("metrics").at("test").at("subspace_overlap_scratch").at("mean").get<double>(),
              1e-9);
}

/// The head of a stage gives the scores of that stage, and the pictures have its numbers.
TEST_F(RunTest, AHeadIsAProbeOfItsOwnStage) {
  const std::string text = small_pipeline();
  write_file(file_, text.substr(0, text.find("[stage.bissl]")) + headed);
  const Outcome outcome = run_bissl(call("run"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto stages = stages_in(out_ / "small");
  const auto& found = stages.at("headed").at("metrics").at("test");
  const auto& tuned = stages.at("tuned").at("metrics").at("test");
  EXPECT_NEAR(found.at("head_top1").at("mean"), tuned.at("top1").at("mean").get<double>(), 1e-9);
  EXPECT_NEAR(found.at("head_loss").at("mean"), tuned.at("loss").at("mean").get<double>(), 1e-5);
  EXPECT_EQ(found.at("moco_ece").at("higher_is_better"), false);

  const std::filesystem::path folder = out_ / "small" / "headed";
  const auto lines = [&](const char* file) {
    const std::string text = read_file(folder / file);
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_EQ(lines("reliability-test.csv"), 1 + 2 * 15);
  EXPECT_EQ(lines("accuracy-test.csv"), 1 + 4);
  EXPECT_EQ(lines("confusion-test-head.csv"), 1 + 4);
  for (const char* file : {"reliability-test.png", "accuracy-test.png", "confusion-test-head.png",
                           "confusion-test-moco.png"}) {
    EXPECT_EQ(read_file(folder / file).substr(1, 3), "PNG") << file;
  }
  // Eight images, and two arms: the stage's own by its head, the other one by a probe.
  EXPECT_EQ(lines("saliency-test.csv"), 1 + 8 * 2);
  const std::string saliency = read_file(folder / "saliency-test.csv");
  EXPECT_LT(saliency.find("\"tuned\",\"head\""), saliency.find("\"pretrain\",\"moco\""));
  EXPECT_EQ(read_file(folder / "saliency-test.png").substr(1, 3), "PNG");
  EXPECT_NE(read_file(folder / "reliability-test.svg").find("head: ECE "), std::string::npos);
}

/// Views that are those of the stage itself change nothing, whatever their number; others do.
TEST_F(RunTest, ProbesAreFittedToViewsOfTheirOwn) {
  write_file(file_, analysed());
  const auto figures = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--set", "stage.look.pictures=[]", "--set",
                                          "stage.look.probe=[\"logistic\",\"lightly\"]"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run_bissl(call("run", arguments));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const nlohmann::json metrics = stages_in(out_ / "small")["look"]["metrics"]["test"];
    return std::pair(metrics["logistic_loss"]["mean"].get<double>(),
                     metrics["lightly_loss"]["mean"].get<double>());
  };
  const auto one_view = figures({});
  const auto same_views =
      figures({"--set", "stage.look.probe_views={count=3,augment={use=\"evaluation\",size=8}}"});
  const auto other_views =
      figures({"--set", "stage.look.probe_views={count=3,augment={use=\"supervised\",size=8}}"});
  EXPECT_NEAR(same_views.first, one_view.first, 1e-4);
  EXPECT_NEAR(same_views.second, one_view.second, 1e-4);
  EXPECT_NE(other_views.first, one_view.first);
  EXPECT_NE(other_views.second, one_view.second);
}

TEST_F(RunTest, WhatCannotBeAnalysedIsRefusedBeforeTraining) {
  write_file(file_, small_pipeline() + looks + headed +
                        "[data.two]\nuse = \"synthetic\"\nsamples = 64\nsize = 8\n"
                        "split = \"test\"\nclasses = [\"0\", \"1\"]\n");
  const auto expect = [&](const std::string& change, const std::string& part) {
    const Outcome outcome = run_bissl(call("check", {"--set", change}));
    EXPECT_EQ(outcome.code, 2) << change << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << change << "\n" << outcome.err;
  };
  expect("stage.look.compare=othre", "there is no stage \"othre\"");
  expect("stage.look.compare=random", "is of kind \"analyse\", which hands on no backbone");
  expect("stage.look.compare=finetune", "compare: stage.finetune has trained 2 networks");
  expect("stage.look.pairs.augment.size=6", "pairs: its views of data.test have another shape");
  expect("stage.look.probe_views={augment={use=\"simclr\",size=6}}",
         "probe_views: its views of data.labelled have another shape");
  expect("stage.random.probe_views={augment={use=\"simclr\",size=8}}",
         "probe_views: no probe is fitted to a bank; give one by bank = ");
  expect("data.test.classes=[\"0\",\"1\"]", "and the bank, data.labelled, ");
  expect("stage.look.queries=[63,64]",
         "queries: data.test has 64 images, counted from 0, so none has the number 64");
  expect("stage.look.queries=[5,5]", "queries: a number is given twice");

  const Outcome unread = run_bissl(
      call("check", {"--set", "stage.random.probe=moco", "--set",
                     "stage.headed={kind=\"analyse\",from=\"tuned\",data=\"test\",probe=[],"
                     "pictures=[\"saliency\"],augment={use=\"evaluation\",size=8}}"}));
  const Outcome unfit =
      run_bissl(call("check", {"--set", "model.backbone={use=\"mlp\",widths=[8]}", "--set",
                               "stage.look.probe=head", "--set", "stage.headed.data=two", "--set",
                               "stage.headed.bank=\"\"", "--set", "stage.headed.probe=[\"head\"]",
                               "--set", "stage.random.pictures=[\"saliency\"]", "--set",
                               "stage.random.bank=labelled", "--set", "stage.look.layers=[]"}));
  for (const auto& [outcome, part] :
       {std::pair(&unread, "\"moco\" is trained on a bank, and none is given"),
        std::pair(&unread, "\"saliency\" needs what classifies images"),
        std::pair(&unfit, "probe: stage.pretrain hands on no head"),
        std::pair(&unfit, "probe: the head of stage.tuned was trained on"),
        std::pair(&unfit, "pictures: \"saliency\" weights feature maps")}) {
    EXPECT_EQ(outcome->code, 2);
    EXPECT_NE(outcome->err.find(part), std::string::npos) << part << "\n" << outcome->err;
  }
}

/// A sweep makes what a stage compares with before it, and asks for it where one arm is run alone.
TEST_F(RunTest, SweepsFinishWhatAnAnalyseStageComparesWith) {
  write_file(file_, analysed());
  const auto ablation = folder_.path() / "ablation.toml";
  write_file(ablation, R"(pipeline = "small.toml"
stages  = ["look"]
metric  = ["look.test.rankme", "look.test.cka_other"]
[set]
"stage.look.pictures" = []
[axes]
seed = [1, 2]
)");
  const Outcome outcome =
      run_bissl({"sweep", ablation.string(), "--out", out_.string(), "--jobs", "1"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("look.test.rankme"), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace bissl::host::test
