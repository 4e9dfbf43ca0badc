// What stops a stage is found before anything is trained, by `check`, `run` and `sweep` alike.

#include "program.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// A fault of the small pipeline, by what is set, and what is said of it.
struct Fault {
  std::string name;
  std::vector<std::string> set;
  std::string said;
};

std::vector<std::string> sets(const std::vector<std::string>& overrides) {
  std::vector<std::string> arguments;
  for (const std::string& one : overrides) {
    arguments.insert(arguments.end(), {"--set", one});
  }
  return arguments;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

class CheckTest : public testing::Test {
 protected:
  CheckTest() { write_file(file_, small_pipeline()); }

  Outcome call(const std::string& name, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {name,          file_.string(), "--out",
                                          out_.string(), "--threads",    "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_bissl(arguments);
  }
  Outcome sweep(const std::vector<std::string>& more = {}) const {
    write_file(
        folder_.path() / "A.toml",
        "pipeline = \"small.toml\"\nmetric = \"finetune.test.top1\"\n[axes]\nseed = [0, 1]\n");
    std::vector<std::string> arguments = {
        "sweep", (folder_.path() / "A.toml").string(), "--out", out_.string(), "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_bissl(arguments);
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "small.toml";
  fs::path out_ = folder_.path() / "runs";
};

class Refusal : public CheckTest, public testing::WithParamInterface<Fault> {};

TEST_P(Refusal, ComesBeforeTheFirstStep) {
  const Fault& fault = GetParam();
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = call(name, sets(fault.set));
    EXPECT_EQ(outcome.code, 2) << name << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(fault.said), std::string::npos) << name << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find("small.toml:"), std::string::npos) << outcome.err;
  }
  const Outcome cells = sweep(sets(fault.set));
  EXPECT_EQ(cells.code, 2) << cells.err;
  EXPECT_NE(cells.err.find(fault.said), std::string::npos) << cells.err;
  EXPECT_FALSE(fs::exists(out_ / "small")) << "a run was begun";
  EXPECT_FALSE(fs::exists(out_ / "A" / "plan.json")) << "a sweep was begun";
}

INSTANTIATE_TEST_SUITE_P(
    Each, Refusal,
    testing::Values(
        Fault{"ColourAfterGray",
              {"data.labelled.channels=3", "data.test.channels=3", "stage.bissl.upper.data=images"},
              " hands on does not fit: \"conv1.weight\" has shape [2, 1, 3, 3], the network's has "
              "[2, 3, 3, 3]"},
        Fault{"LevelsOfOtherChannels",
              {"data.labelled.channels=3", "data.test.channels=3"},
              "the lower level's views (data.images) have 1 channels, the upper level's "
              "(data.labelled) have 3"},
        Fault{"PretextHeadOfAnotherWidth",
              {"stage.bissl.lower.pretext.projector=[8, 4]"},
              "the pretext that stage.pretrain hands on does not fit"},
        Fault{"PretextHeadOfAnotherDepth",
              {"stage.bissl.lower.pretext.projector=[8, 8, 8]"},
              "the pretext that stage.pretrain hands on does not fit: there is no \"3.bias\""},
        Fault{"UnlabelledTraining",
              {"data.images.labelled=false", "stage.baseline.data=images"},
              "data: data.images has no labels"},
        Fault{"UnlabelledUpperLevel",
              {"data.images.labelled=false", "stage.bissl.upper.data=images"},
              "upper.data: data.images has no labels"},
        Fault{"UnlabelledEvaluation",
              {"data.test.labelled=false"},
              "evaluate.data: data.test has no labels"},
        Fault{"OneClass",
              {"data.labelled.classes=[\"1\"]", "data.test.classes=[\"1\"]"},
              "classification needs at least 2 classes; the data has 1"},
        Fault{"OtherClasses",
              {"data.test.classes=[\"0\", \"1\"]"},
              "evaluate.data: data.test (used at "},
        Fault{"ClassesInAnotherOrder",
              {"data.test.classes=[\"1\", \"0\"]", "data.labelled.classes=[\"0\", \"1\"]"},
              "they must be of the same kind, number and names, in the same order"},
        Fault{"RatesOfNoParameter",
              {"stage.baseline.rates.groups=[{match=\"hed.*\",lr_factor=2}]"},
              "match = \"hed.*\" is the name of none of the "},
        Fault{"EverythingFrozen",
              {"stage.baseline.rates.groups=[{match=\"*\",frozen=true}]"},
              "are frozen, and there is nothing to train"},
        Fault{"FrozenOnALevel",
              {"stage.bissl.upper.rates.groups=[{match=\"head.*\",frozen=true}]"},
              "a bissl stage trains the same parameters of the backbone on both levels"},
        Fault{"ScheduleOfNoWeightDecay",
              {"stage.baseline.rates.weight_decay={end_factor=5}"},
              "is 0, and factors leave it there"},
        Fault{"OneCycleOfMomentumAlone",
              {"stage.baseline.rates.momentum={use=\"one-cycle\",to=0.85}"},
              "and schedule.use is "},
        Fault{"ScheduleOfNoMomentum",
              {"stage.baseline.optimizer={use=\"lion\",lr=0.01}",
               "stage.baseline.rates.momentum={to=0.85}"},
              "has no momentum that could be set"},
        Fault{"ViewsOfAnotherSize",
              {"stage.baseline.evaluate.augment.size=12"},
              "evaluate: its augmentation gives views of 1x12x12"},
        Fault{"PlanesBeforeTheyAreMade",
              {"stage.pretrain.augment=[{use=\"flip\"},{use=\"resized-crop\"}]"},
              "takes float planes, but a chain begins with the pixels of the dataset"},
        Fault{"PixelsAfterPlanes",
              {"stage.pretrain.augment=[{use=\"to-planes\"},{use=\"resized-crop\"}]"},
              "takes pixels, but transform to-planes (library "},
        Fault{"CropBeyondTheImage",
              {"stage.pretrain.augment=[{use=\"to-planes\"},{use=\"center-crop\",size=9}]"},
              "size = 9 does not fit into 8x8 pixels"},
        Fault{"OtherNumberOfViews",
              {"stage.pretrain.views=[{count=3,augment={use=\"simclr\"}}]"},
              " takes 2 views of each sample, but views (--set stage.pretrain.views="},
        Fault{"ViewsOfSizesThatTheLossDoesNotTake",
              {"stage.pretrain.views=[{augment={use=\"simclr\"}},{augment={use=\"simclr\","
               "size=6}}]"},
              ") gives one view of 1x8x8 and one of 1x6x6: pretext simclr (library "},
        Fault{"MoreStepsThanARound",
              {"stage.bissl.hypergradient={ use = \"unrolled\", steps = 4 }"},
              "goes back through 4 lower steps, but a round has 3 (lower.steps)"},
        Fault{"TooLargeForADenseSolve",
              {"stage.bissl.hypergradient={ use = \"exact\", max_parameters = 100 }"},
              "more than max_parameters = 100"},
        Fault{"AccumulationOfALossThatCouplesSamples",
              {"stage.pretrain.accumulate=2"},
              "accumulate = 2, but the loss of pretext simclr"},
        Fault{"AccumulationOfSuchALossInTheLowerLevel",
              {"stage.bissl.lower.accumulate=2"},
              "lower.accumulate = 2, but the loss of pretext simclr"},
        Fault{"ValidationByAnUnknownMetric",
              {"stage.finetune.validate={ data = \"labelled\", every = 1, metric = \"top9\", "
               "augment = { use = \"evaluation\", size = 8 } }"},
              "validate.metric: the downstream task has no metric \"top9\""},
        Fault{"BatchOfOneInPretraining", {"stage.pretrain.batch=1"}, "a step with batch = 1: "},
        Fault{"BatchOfOneInFineTuning",
              {"stage.finetune.batch=1"},
              "a step with batch = 1: backbone resnet18"},
        Fault{"BatchOfOneInTheUpperLevel",
              {"stage.bissl.upper.batch=1"},
              "a step with upper.batch = 1: backbone resnet18"},
        Fault{"HessianBatchOfOne",
              {"stage.bissl.lower.hessian_batch=1"},
              "a step with lower.hessian_batch = 1: "},
        Fault{"ClassThatIsNotThere",
              {"data.labelled.classes=[\"Coat\"]"},
              "there is no class \"Coat\""},
        Fault{"ClassTwice", {"data.labelled.classes=[\"1\", \"1\"]"}, "is named twice"},
        Fault{"ClassesOfUnlabelledData",
              {"data.images.labelled=false", "data.images.per_class=2"},
              "the data has no labels, so `classes` and `per_class` cannot choose among it"},
        Fault{"TooFewOfAClass", {"data.labelled.per_class=5000"}, "per_class = 5000, but class"},
        Fault{"TooFewAtAll", {"data.images.limit=97"}, "limit = 97, but there are only 96 samples"},
        Fault{"NothingLeft", {"data.images.skip_per_class=24"}, "no samples are left"},
        Fault{"StepsBeyondAnyNumber",
              {"stage.finetune.steps=9e15"},
              "a stage can have 10^12 at most"},
        Fault{"SamplesBeyondAnyNumber",
              {"stage.pretrain.batch=9223372036854775807"},
              "makes more samples than 64 bits can number"},
        Fault{"ConvexFitOfAHeadWithHiddenLayers",
              {"stage.bissl.upper.downstream={use=\"classification\",hidden=[4]}",
               "stage.bissl.head_warmup={fit=\"convex\"}"},
              "head_warmup.fit = \"convex\" fits heads whose outputs are a linear function"},
        Fault{
            "MonitorOfImagesInColour",
            {"data.test.channels=3",
             "stage.pretrain.monitor={data=\"test\",every=1,augment={use=\"evaluation\",size=8}}"},
            "monitor.data: data.test has images of 3 channels, the training's have 1"},
        Fault{
            "MonitorOfTooFewImages",
            {"data.test.limit=3",
             "stage.pretrain.monitor={data=\"test\",every=1,augment={use=\"evaluation\",size=8}}"},
            "monitor.data: data.test has 3 images; a monitor needs 4 at least"},
        Fault{
            "MonitorsOfOneSource",
            {"stage.pretrain.monitor=[{data=\"test\",every=1,augment={use=\"evaluation\",size=8}},"
             "{data=\"test\",every=2,augment={use=\"evaluation\",size=8}}]"},
            "monitor: data.test is in two of its tables"},
        Fault{"MonitorsThatBothKeepTheBest",
              {"stage.pretrain.monitor=[{data=\"images\",every=1,keep_best=\"rankme\","
               "augment={use=\"evaluation\",size=8}},{data=\"labelled\",every=1,"
               "keep_best=\"rankme\",augment={use=\"evaluation\",size=8}}]"},
              "monitor: two of its tables, those of data.images and data.labelled, have keep_best"},
        Fault{"SupervisedImagesInColour",
              {"data.labelled.channels=3",
               "stage.pretrain.supervised={data=\"labelled\",batch=8,augment={use=\"supervised\","
               "size=8},downstream={use=\"classification\"}}"},
              "the views of supervised.data (data.labelled) have 3 channels, those of data.images "
              "have 1"},
        Fault{"HalfPrecisionOnTheCpu",
              {"stage.baseline.precision=fp16"},
              "precision = \"fp16\": this run computes on the CPU"},
        Fault{"BatchBeyondAllMemory", {"stage.pretrain.batch=4000000000000"}, "and there are "}),
    [](const auto& info) { return info.param.name; });

/// Every refusal in the code that stages run, with the fault above that meets it or the reason why
/// no check can. A refusal that is added has to be added here.
TEST(RefusalList, IsComplete) {
  const std::string only_later = "shows during the training only";
  const std::map<std::string, std::string> known = {
      {"{} goes back through {} lower steps", "MoreStepsThanARound"},
      {"{}: data.{} has no labels",
       "UnlabelledTraining, UnlabelledUpperLevel, UnlabelledEvaluation"},
      {"{}: data.{} (used at {}) has {}, but the head", "OtherClasses, ClassesInAnotherOrder"},
      {"{} takes {} targets, but data.{}", "TargetsTest"},
      {"{} gives the metrics", "a component at fault: conform"},
      {"{}: its augmentation gives views", "ViewsOfAnotherSize"},
      {"validate.metric: the downstream task has no metric", "ValidationByAnUnknownMetric"},
      {"the checkpoint's best weights", "a damaged checkpoint"},
      {"the lower level's views (data.{})", "LevelsOfOtherChannels"},
      {"{} works layer by layer", "KfacNeedsLayersOfTheSdk"},
      {"{}: there is no ", "PretextHeadOfAnotherDepth"},
      {"{}: \\\"{}\\\" has shape", "ColourAfterGray, PretextHeadOfAnotherWidth"},
      {"{}: \\\"{}\\\" is not part of the network", "AHeadWithLessThanItsParents"},
      {"the data has no labels, so", "ClassesOfUnlabelledData"},
      {"sample {} has {}", "opening the data reads all targets but masks: every check does"},
      {"the dataset declares its targets with a fault", "a component at fault: conform"},
      {"`per_class` and `skip_per_class` count", "TargetsTest"},
      {"`classes` chooses categories or labels", "TargetsTest"},
      {"limit = {}, but there are only", "TooFewAtAll"},
      {"no samples are left", "NothingLeft"},
      {"classes: there is no class", "ClassThatIsNotThere"},
      {"classes: \\\"{}\\\" is named twice", "ClassTwice"},
      {"per_class = {}{}, but class", "TooFewOfAClass"},
      {"{}: sample {} of {}x{} pixels gives views of another shape", "ImagesOfSeveralSizes"},
      {"{} takes {}, but a chain begins with the {}", "PlanesBeforeTheyAreMade"},
      {"{} takes {}, but {} before it gives {}", "PixelsAfterPlanes"},
      {"{} is the last of its chain and gives {}", "no transform that ships gives pixels"},
      {"{} takes {} {} of each sample", "OtherNumberOfViews"},
      {"it makes {} of {}; expected", "a component at fault: conform"},
      {"it works in place, but makes {}", "a component at fault: conform"},
      {"{} changes whole batches of views, but {}", "made with the chain: BatchTransforms"},
      {"{} has the ability {}, but does not", "a component at fault: conform"},
      {"it gives the batch of [{}] another shape", "a component at fault: conform"},
      {"{}: room for a view of {} needs", "a fault of the program"},
      {"the trial of the solve is over", "ends a trial; is not told"},
      {"stage.{} has trained {} networks", "RunTest: ATrainingContinuesOneNetwork"},
      {"data: the views of data.{} are", "RunTest: WhatCannotBeScored"},
      {"data: the views of data.{} have another shape", "RunTest: WhatCannotBeScored"},
      {"k = {}: data.{} has {} images", "RunTest: WhatCannotBeScored"},
      {"bank: data.{} has {}, and neighbours vote", "RunTest: WhatCannotBeScored"},
      {"the backbone's features are not finite", only_later},
      {"there is no kind of stage", "a fault of the program"},
      {"stage.{}, of kind", "ImportTest.AHeadMustFit; the call `features`"},
      {"head.data: data.{} has no labels", "make_downstream's cases"},
      {"head: the file has no", "ImportTest.AHeadMustFit"},
      {"head: \\\"{}\\\" has shape", "ImportTest.AHeadMustFit"},
      {"source = \\\"{}\\\" and a rule of the stage's own", "ImportTest.WhatDoesNotFit"},
      {"rule.rename: ", "ImportTest.WhatDoesNotFit"},
      {"{}: its weights are not finite", "ImportTest.WeightsThatAreNotFinite"},
      {"there is no network {} of stage.{}", "the call `features`, no stage"},
      {"the features of stage.{} are not finite", "the call `features`, no stage"},
      {"training diverged: after step", only_later},
      {"the loss is not finite before the first step", only_later},
      {"stage.{}, which this one continues, left weights", only_later},
      {"{} makes {:.3g} steps; a stage can have", "StepsBeyondAnyNumber"},
      {"{}, of {} samples each, makes more samples", "SamplesBeyondAnyNumber"},
      {"{} = {}: {} of {} samples", "BatchBeyondAllMemory"},
      {"{}: {} takes {}, and there are", "ProcessLimitsTest: ADenseSystem"},
      {"{} takes values in 0 … 1", "made with the chain, as the data is opened: Chain"},
      {"{} takes 8-bit pixels, but the images", "Asking: SixteenBitsAreRefused"},
      {"its images have samples of 16 bits", "opening the data, which every check does"},
      {"the decoded pixels of the first {}", "opening the data, which every check does"},
      {"the decoded pixels in {} cannot be used", "opening the data, which every check does"},
      {"{} has the pixels of {} samples", "opening the data, which every check does"},
      {"BISSL_PIXEL_CACHE_LIMIT = ", "before anything is read"},
      {"cache_pixels = {}: ", "opening the data, which every check does"},
      {"its numbers are not finite: the loss, its second derivative", "ends an audit, not a stage"},
      {"{} with {}, in the gradient of the loss", "a step of each kind is tried"},
      {"\\\"{}\\\" is a parameter or buffer of one instance", "a component at fault: conform"},
      {"\\\"{}\\\" has shape [{}] in one instance", "a component at fault: conform"},
      {"batch {} was asked for", "a fault of the program"},
      {"the checkpoint's recorded lower step", "a damaged checkpoint"},
      {"the checkpoint holds a state", "a damaged checkpoint"},
      {"the checkpoint's average of the weights", "a damaged checkpoint"},
      {"there is no kind of stage", "a fault of the program: the reader has refused it"},
      {"{} = {}, but the loss of {}",
       "AccumulationOfALossThatCouplesSamples, FixtureCheck: "
       "AccumulationOfATaskThatCouplesSamples"},
      {"make_backbone was called after", "a component at fault: conform"},
      {"the approximator asks for batch {}", "a component at fault: conform"},
      {"rates.groups ({}): match = ", "RatesOfNoParameter"},
      {"rates.groups ({}): all {} parameters are frozen", "EverythingFrozen"},
      {"{}rates.groups ({}): a bissl stage", "FrozenOnALevel"},
      {"rates.groups: {} has no weight decay", "asked of the optimizer as the stage is built"},
      {"rates.weight_decay: {} has no weight decay", "asked as the stage is built"},
      {"rates.weight_decay: the weight decay of {} is 0", "ScheduleOfNoWeightDecay"},
      {"rates.momentum: {} has no momentum", "ScheduleOfNoMomentum"},
      {"rates.momentum: \\\"one-cycle\\\" falls", "OneCycleOfMomentumAlone"},
      {"mix: masks say of each pixel", "BatchMix: MasksAreRefused, as batches are made"},
      {"head_warmup.fit = ", "ConvexFitOfAHeadWithHiddenLayers"},
      {"head_warmup: steps of training need", "CheckTest: WarmupStepsNeedAnOptimizer"},
      {"rounds = \\\"auto\\\": the stages before", "CheckTest: RoundsThatNothingDecides"},
      {"lambda = \\\"auto\\\": the first lower step does not descend", only_later},
      {"upper.lr_factor = \\\"auto\\\": a lower step moves", only_later},
      {"monitor.data: data.{} has images of {} channels", "MonitorOfImagesInColour"},
      {"monitor.data: data.{} has {} images", "MonitorOfTooFewImages"},
      {"monitor: data.{} is in two of its tables", "MonitorsOfOneSource"},
      {"monitor: two of its tables", "MonitorsThatBothKeepTheBest"},
      {"monitor.figures: data.{} has", "made with the stage, as the two before"},
      {"the views of supervised.data", "SupervisedImagesInColour"},
      {"compare: stage.{} has trained", "RunTest: WhatCannotBeAnalysed"},
      {"data: data.{} has {}, and the bank", "RunTest: WhatCannotBeAnalysed"},
      {"queries: data.{} has {} images", "RunTest: WhatCannotBeAnalysed"},
      {"pairs: its views of data.{}", "RunTest: WhatCannotBeAnalysed"},
      {"probe_views: no probe is fitted", "RunTest: WhatCannotBeAnalysed"},
      {"probe_views: its views of data.{}", "RunTest: WhatCannotBeAnalysed"},
      {"probe: the head of stage.{} was trained on", "RunTest: WhatCannotBeAnalysed"},
      {"probe: {} hands on no head", "RunTest: WhatCannotBeAnalysed"},
      {"probe: the head of stage.{} predicts", "heads of labels, values, masks"},
      {"probe: the head of stage.{} reads", "no task that ships reads maps or tokens for classes"},
      {"pictures: \\\"saliency\\\" weights feature maps", "RunTest: WhatCannotBeAnalysed"},
      {"pictures: \\\"saliency\\\" needs features that", "no backbone that ships"},
      {"match.stage: stage.{} is of kind", "ArmsTest: WrongMatches"},
      {"match.by = \\\"seconds\\\" takes the speed", "ArmsTest: WrongMatches"},
      {"stage \\\"{}\\\" was begun before the stage", "a fault of the program"},
      {"stage.{} ({}): stage.{}, with which it compares", "a store that is pruned meanwhile"},
      {"cannot copy {} to {}, which this process",
       "a full disk; of processes beside the first one"},
      {"the processes do not begin with the same step", "DivisionTest; as a training begins"},
      {"{} = {}: a step on such a batch takes about", "CostTest: ABatchBeyondMemory"},
      {"{}: its module {} is a {}, whose statistics", "several processes: as the stage is built"},
      {"precision = \\\"fp16\\\": this run computes", "HalfPrecisionOnTheCpu"},
      {"there is no precision", "a fault of the program: the reader has refused it"},
      {"{} needs the ability", "the approximator's abilities are asked for as the stage is built"},
  };
  std::set<std::string> met;
  const std::regex refusal(R"re(fail_(?:input|run)\(\s*"((?:[^"\\]|\\.)*)")re");
  for (const char* folder : {"stages", "data", "models", "bilevel"}) {
    for (const auto& entry :
         fs::recursive_directory_iterator(fs::path(source_folder) / "core" / folder)) {
      if (!entry.is_regular_file()) {
        continue;
      }
      const std::string text = read_file(entry.path());
      for (std::sregex_iterator found(text.begin(), text.end(), refusal), end; found != end;
           ++found) {
        const std::string message = (*found)[1];
        const auto entry_of = std::find_if(known.begin(), known.end(), [&](const auto& one) {
          return message.starts_with(one.first);
        });
        EXPECT_NE(entry_of, known.end())
            << entry.path() << ": \"" << message
            << "\" is not in this list: can a check find it before the training?";
        if (entry_of != known.end()) {
          met.insert(entry_of->first);
        }
      }
    }
  }
  for (const auto& [message, fault] : known) {
    EXPECT_EQ(met.count(message), 1U) << "no stage says \"" << message << "\" (" << fault << ")";
  }
}

TEST_F(CheckTest, AHeadWithLessThanItsParents) {
  const Outcome outcome = call("check", sets({"stage.bissl.lower.pretext.projector=[8]"}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("the pretext that stage.pretrain hands on does not fit"),
            std::string::npos)
      << outcome.err;
}

TEST_F(CheckTest, FinishedStagesAreNotTriedButWhatFollowsThemIs) {
  ASSERT_EQ(call("run").code, 0);
  const fs::path key = fs::canonical(out_ / "small" / "pretrain");
  // A batch of one would fail in the pretraining, which is not run again; the child's head differs.
  const Outcome outcome = call("run", sets({"stage.bissl.lower.pretext.projector=[8, 4]"}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("error: stage.bissl ("), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("error: stage.pretrain"), std::string::npos) << outcome.err;
  EXPECT_EQ(fs::canonical(out_ / "small" / "pretrain"), key);
}

TEST_F(CheckTest, StageNamesThatFilesOfTheRunHaveAreRefused) {
  for (const std::string name : {"results.json", "Results.JSON", "pipeline.lock.toml",
                                 "report.html", "report.cells.csv", "plan.json", "sweep.lock"}) {
    std::string text = small_pipeline();
    const std::string old = "[stage.baseline]";
    text.replace(text.find(old), old.size(), "[stage.\"" + name + "\"]");
    write_file(file_, text);
    for (const char* command : {"check", "run"}) {
      const Outcome outcome = call(command);
      EXPECT_EQ(outcome.code, 2) << name;
      EXPECT_NE(outcome.err.find("small.toml:72:8: error: stage.\"" + name +
                                 "\": no stage can have this name"),
                std::string::npos)
          << outcome.err;
    }
  }
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(CheckTest, OverridesOfWhatIsNotThereAreTold) {
  const Outcome outcome =
      call("check", sets({"stage.finetun.steps=3", "data.tset.samples=3", "data.te.st.samples=3"}));
  EXPECT_EQ(outcome.code, 2);
  for (const char* said :
       {"stage.finetun: there is no stage \"finetun\"", "did you mean \"finetune\"?",
        "data.tset: there is no data source \"tset\"", "did you mean \"test\"?",
        "data.te: there is no data source \"te\"; a name with dots is put in quotation marks"}) {
    EXPECT_NE(outcome.err.find(said), std::string::npos) << said << "\n" << outcome.err;
  }
}

TEST_F(CheckTest, StageNamesThatDifferInCaseOnlyAreRefused) {
  write_file(file_, small_pipeline() + "[stage.FineTune]\nlike = \"finetune\"\n");
  const Outcome outcome = call("check");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("error: stage.FineTune: stage \"finetune\" differs only in upper and "
                             "lower case"),
            std::string::npos)
      << outcome.err;
}

TEST_F(CheckTest, APlaceThatIsTakenInTheRunFolderIsFoundFirst) {
  fs::create_directories(out_ / "small" / "finetune");
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = call(name);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("something that is no link has this name"), std::string::npos)
        << outcome.err;
  }
  EXPECT_FALSE(fs::exists(out_ / ".store"));
}

TEST_F(CheckTest, WarningsAreSpokenOnceByEachCall) {
  const std::string said = "batch = 16 is more than the 4 images of data.images";
  const std::vector<std::string> few = sets({"data.images.samples=4"});
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = call(name, few);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(count_of(outcome.err, "warning: stage.pretrain: " + said), 1U) << outcome.err;
  }
  std::vector<std::string> more = few;
  more.insert(more.end(), {"--jobs", "2"});
  const Outcome cells = sweep(more);
  ASSERT_EQ(cells.code, 0) << cells.err;
  EXPECT_EQ(count_of(cells.err, "warning: stage.pretrain: " + said), 1U) << cells.err;
  for (const auto& log : fs::directory_iterator(out_ / "A" / "logs")) {
    EXPECT_EQ(read_file(log.path()).find(said), std::string::npos) << log.path();
  }
}

TEST_F(CheckTest, WarmupStepsNeedAnOptimizer) {
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = call(name, {"--set", "stage.bissl.head_warmup.fit=\"sgd\"", "--unset",
                                        "stage.bissl.head_warmup.optimizer"});
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("head_warmup: steps of training need an optimizer"),
              std::string::npos)
        << outcome.err;
    EXPECT_EQ(outcome.err.find("done in"), std::string::npos) << outcome.err;
  }
}

TEST_F(CheckTest, RoundsThatNothingDecides) {
  for (const char* name : {"check", "run"}) {
    const Outcome outcome =
        call(name, {"--set", "stage.bissl.rounds=auto", "--set", "stage.pretrain.epochs=2",
                    "--unset", "stage.pretrain.steps"});
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("rounds = \"auto\": the stages before this one do not say"),
              std::string::npos)
        << outcome.err;
    EXPECT_EQ(outcome.err.find("done in"), std::string::npos) << outcome.err;
  }
}

TEST_F(CheckTest, EachKindOfDoubtIsSpokenByTheRun) {
  const Outcome outcome = call(
      "run", sets({"stage.bissl.lambda=0.001", "stage.bissl.upper.batch=100",
                   "stage.finetune.batch=1", "stage.finetune.evaluate.batch=1",
                   "stage.finetune.augment.size=16", "stage.finetune.evaluate.augment.size=16"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* said :
       {"warning: stage.bissl: λ · lr/(1 − momentum) · lower steps",
        "warning: stage.bissl: upper.batch = 100 is more than the 48 images of data.labelled",
        "warning: stage.finetune: batch = 1: batch normalisation takes its statistics from a "
        "single image"}) {
    EXPECT_EQ(count_of(outcome.err, said), 1U) << said << "\n" << outcome.err;
  }
}

/// Numbers that a short stage, its rounding or too little data take the effect from.
TEST_F(CheckTest, WhatAStageIsTooShortOrTooSmallForIsSpoken) {
  write_file(file_, small_pipeline() + R"(
[stage.as-long]
like  = "pretrain"
batch = 320
match = { stage = "bissl", by = "steps" }

[stage.look]
kind       = "analyse"
from       = "pretrain"
data       = "test"
augment    = { use = "evaluation", size = 8 }
pictures   = ["tsne", "umap"]
perplexity = 50
umap_neighbours = 70
)");
  const Outcome outcome =
      call("check", sets({"stage.pretrain.monitor={data=\"test\",every=1,figures=[\"knn\"],"
                          "samples=500,k=40,augment={use=\"evaluation\",size=8}}"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* said :
       {"warning: stage.as-long: match: 0.45 steps make this stage as long as stage.bissl; 1 is "
        "taken",
        "warning: stage.pretrain: monitor.samples = 500 is more than the 64 images of data.test",
        "warning: stage.pretrain: monitor.k = 40 is more than half of the 64 images",
        "warning: stage.look: perplexity = 50 is more than a third of the other 63 samples of "
        "data.test: t-SNE takes 21",
        "warning: stage.look: umap_neighbours = 70 is more than the 64 samples of data.test"}) {
    EXPECT_EQ(count_of(outcome.err, said), 1U) << said << "\n" << outcome.err;
  }
}

/// The pretraining has 8 steps. What continues its task is older than its own steps.
TEST_F(CheckTest, StepsThatATaskPutsOffBeyondTheStageAreSpoken) {
  const auto warnings = [&](const std::string& frozen) {
    const Outcome outcome =
        call("check", sets({"stage.pretrain.pretext={use=\"dino\",hidden=[8],bottleneck=4,"
                            "prototypes=6,teacher_temperature_start=0.02,"
                            "teacher_temperature_warmup=7,freeze_prototypes=" +
                            frozen + "}"}));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return count_of(outcome.err, "pretext.freeze_prototypes = " + frozen + " (training steps") +
           count_of(outcome.err, "teacher_temperature_warmup = 7 (");
  };
  EXPECT_EQ(warnings("7"), 0U);
  EXPECT_EQ(warnings("8"), 1U);
}

/// Pipelines of the fixture's components, which have parameters that make them fail.
class FixtureCheck : public CheckTest {
 protected:
  Outcome with_fixture(const std::string& name) const {
    const fs::path plugins = folder_.path() / "plugins";
    fs::create_directory(plugins);
    fs::copy(fs::path(fixture_plugin_folder) / "throws_in_run.so", plugins / "throws_in_run.so",
             fs::copy_options::overwrite_existing);
    return call(name, {"--plugin-path", plugins.string()});
  }
};

/// A pretraining on the fixture's dataset with a fault.
std::string pretraining_on(const std::string& fault) {
  return R"(name = "small"
[data.images]
use = "throwing-dataset"
method = ")" +
         fault + R"("
[model.backbone]
use = "throwing-backbone"
[stage.pretrain]
kind = "pretrain"
data = "images"
batch = 4
steps = 2
augment = { use = "throwing-augmentation" }
pretext = { use = "throwing-pretext" }
optimizer = { use = "throwing-optimizer" }
)";
}

TEST_F(FixtureCheck, AFailingFingerprintIsTold) {
  write_file(file_, pretraining_on("fingerprint"));
  const Outcome check = with_fixture("check");
  EXPECT_EQ(check.code, 2);
  for (const char* said : {"error: stage.pretrain (", "data.images (", "in fingerprint: no more"}) {
    EXPECT_NE(check.err.find(said), std::string::npos) << said << "\n" << check.err;
  }
}

TEST_F(FixtureCheck, ImagesOfSeveralSizes) {
  write_file(file_, pretraining_on("last image smaller"));
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = with_fixture(name);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("sample 31 of 4x4 pixels gives views of another shape"),
              std::string::npos)
        << outcome.err;
  }
  EXPECT_FALSE(fs::exists(out_ / ".store"));
}

TEST_F(FixtureCheck, KfacNeedsLayersOfTheSdk) {
  write_file(file_, R"(name = "small"
[data.images]
use = "throwing-dataset"
[model.backbone]
use = "throwing-backbone"
method = "no layers"
[stage.pretrain]
kind = "pretrain"
data = "images"
batch = 4
steps = 2
augment = { use = "throwing-augmentation" }
pretext = { use = "throwing-pretext" }
optimizer = { use = "throwing-optimizer" }
[stage.bissl]
kind = "bissl"
from = "pretrain"
rounds = 1
hypergradient = { use = "kfac" }
[stage.bissl.lower]
steps = 1
[stage.bissl.upper]
data = "images"
steps = 1
batch = 4
augment = { use = "throwing-augmentation" }
downstream = { use = "throwing-downstream" }
optimizer = { use = "throwing-optimizer" }
)");
  for (const char* name : {"check", "run"}) {
    const Outcome outcome = with_fixture(name);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("works layer by layer"), std::string::npos) << outcome.err;
  }
}

TEST_F(FixtureCheck, AccumulationOfATaskThatCouplesSamples) {
  const auto text = [](const std::string& method, const std::string& upper) {
    const std::string augment = "augment = { use = \"throwing-augmentation\" }\n";
    const std::string optimizer = "optimizer = { use = \"throwing-optimizer\" }\n";
    const std::string downstream =
        "downstream = { use = \"throwing-downstream\", method = \"" + method + "\" }\n";
    const std::string labelled = "data = \"images\"\nsteps = 1\nbatch = 4\naccumulate = 2\n" +
                                 augment + downstream + optimizer;
    return pretraining_on("none") +
           (upper.empty() ? "[stage.tuned]\nkind = \"finetune\"\nfrom = \"pretrain\"\n" + labelled
                          : "[stage.both]\nkind = \"bissl\"\nfrom = \"pretrain\"\nrounds = 1\n"
                            "hypergradient = { use = \"throwing-hypergradient\" }\n"
                            "[stage.both.lower]\nsteps = 1\n[stage.both.upper]\n" +
                                labelled);
  };
  for (const std::string key : {"accumulate", "upper.accumulate"}) {
    const std::string upper = key == "accumulate" ? "" : "upper";
    write_file(file_, text("none", upper));
    const Outcome separable = with_fixture("check");
    EXPECT_EQ(separable.code, 0) << separable.err;
    write_file(file_, text("couples samples", upper));
    for (const char* name : {"check", "run"}) {
      const Outcome outcome = with_fixture(name);
      EXPECT_EQ(outcome.code, 2) << outcome.err;
      EXPECT_NE(outcome.err.find(key + " = 2, but the loss of downstream throwing-downstream"),
                std::string::npos)
          << outcome.err;
      EXPECT_NE(outcome.err.find("couples the samples of a batch ("), std::string::npos)
          << outcome.err;
    }
  }
}

}  // namespace
}  // namespace bissl::host::test
