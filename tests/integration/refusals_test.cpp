// Everything that the code which stages run refuses, and that each refusal comes before anything is
// trained, by `check`, `run` and `sweep` alike.

#include "check_fixture.h"
#include "support/paths.h"

#include <algorithm>
#include <map>
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
        Fault{"LocalStatisticsAudited",
              {"stage.bissl.batch_norm=local", "stage.bissl.audit.every=1"},
              "batch_norm = \"local\": an audit computes whole batches"},
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
      {"{} has {} tensors; expected", "a component at fault: conform"},
      {"tensor {} of {} {}; expected one of shape", "a component at fault: conform"},
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
      {"skip_per_class = {}, but class", "DataView: WhatOneSourceKeepsAnotherCanSkip"},
      {"{}: sample {} of {}x{} pixels gives views of another shape", "ImagesOfSeveralSizes"},
      {"view {} of {} was planned as", "a component at fault"},
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
      {"{}: the checkpoint does not hold", "a checkpoint of another version: SessionTest"},
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
      {"process 0 continues from {} in {}", "files that are late; ProgressCopy"},
      {"the processes do not begin with the same step", "DivisionTest; as a training begins"},
      {"{} = {}: a step on such a batch takes about", "CostTest: ABatchBeyondMemory"},
      {"precision = \\\"fp16\\\": this run computes", "HalfPrecisionOnTheCpu"},
      {"there is no precision", "a fault of the program: the reader has refused it"},
      {"batch_norm = \\\"local\\\": an audit", "LocalStatisticsAudited"},
      {"there are no batch statistics", "a fault of the program: the reader has refused it"},
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

}  // namespace
}  // namespace bissl::host::test
