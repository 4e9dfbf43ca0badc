// `bissl conform` on components of each kind that break one promise each.

#include "conform_calls.h"
#include "program.h"
#include "support/sanitizers.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

namespace bissl::host::test {
namespace {

struct Fault {
  std::string component;        ///< called after what it does wrong
  std::string check;            ///< that finds it; empty where chance decides which
  std::string words;            ///< of what it says
  bool misuses_memory = false;  ///< a sanitizer ends the process before conform finds it
};

struct Library {
  std::string name;
  std::vector<std::string> right;  ///< components that keep all promises
  std::vector<Fault> faults;
};

/// The first component that keeps all promises, and of each check the first fault that it finds.
Library one_for_each_check(const Library& all) {
  Library some{all.name, {all.right.front()}, {}};
  std::set<std::string> checks;
  for (const Fault& fault : all.faults) {
    if (checks.insert(fault.check).second) {
      some.faults.push_back(fault);
    }
  }
  return some;
}

/// Tries the components that are listed. With `all` the library must have no others.
void expect_found(const Library& library, bool all) {
  std::vector<std::string> call = {"conform", "--json", fixture(library.name)};
  if (!all) {
    for (const std::string& component : library.right) {
      call.insert(call.end(), {"--component", component});
    }
    for (const Fault& fault : library.faults) {
      call.insert(call.end(), {"--component", fault.component});
    }
  }
  const Outcome outcome = run_bissl(call);
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  auto checks = checks_of(outcome);
  EXPECT_EQ(checks.size(), library.right.size() + library.faults.size() + 1)
      << "a component without a line here";
  for (const std::string& component : library.right) {
    EXPECT_FALSE(checks[component].empty()) << component;
    for (const auto& check : checks[component]) {
      EXPECT_NE(check["status"], "failed") << component << ": " << check.dump();
    }
  }
  for (const Fault& fault : library.faults) {
    if (sanitized && fault.misuses_memory) {
      continue;
    }
    bool found = false;
    for (const auto& check : checks[fault.component]) {
      found = found || (check["status"] == "failed" &&
                        (fault.check.empty() || check["check"] == fault.check) &&
                        check["detail"].get<std::string>().find(fault.words) != std::string::npos);
    }
    EXPECT_TRUE(found) << fault.component << ": " << fault.check << ": " << fault.words << "\n"
                       << nlohmann::json(checks[fault.component]).dump(1);
  }
}

Library misbehaving_datasets() {
  const std::string images = "images have channels, rows and columns, each byte readable";
  const std::string names = "targets are declared soundly, with distinct names, and stay the same";
  const std::string labels = "each target is as declared, and target() agrees with get()";
  const std::string same = "a sample is the same each time, from each instance";
  const std::string stay = "pixels stay where they are as long as the dataset";
  const std::string fingerprint = "the fingerprint is a text that stays the same";
  const std::string generators = "draws from no generator of the process";
  return {"misbehaving_datasets",
          {"right", "labels-right", "values-right", "mask-right", "sample-names-right"},
          {{"growing", "has samples", "after samples were read"},
           {"no-channels", images, "sample 57 has 0 channels"},
           {"no-height", images, "sample 3 is of 0x5 pixels"},
           {"no-pixels", images, "sample 41 has no pixels"},
           {"dangling", same, "memory that was freed"},
           {"unwritten", same, "never written"},
           {"history", same, "depends on other calls"},
           {"neighbour", same, "read backwards"},
           {"another-instance", same, "in a second instance"},
           {"scratch", stay, "while others were read"},
           {"small-cache", stay, "while others were read"},
           {"thread-memory", stay, "when the thread ended"},
           {"owner-of-nothing", "an image outlives its dataset if it says so",
            "when its dataset went", true},
           {"shared-by-threads", "several threads read at once", "share no memory", true},
           {"label-beyond", labels, "target(57) has the category 2; expected 0 to 1"},
           {"label-missing", labels, "target(99) has the category -1"},
           {"label-disagrees", labels, "get(93).target.category is 1"},
           {"unlabelled-with-labels", labels, "says that there are none"},
           {"duplicate-names", names, "both called \"cat\""},
           {"empty-name", names, "target 1 has an empty name"},
           {"changing-names", names, "at a second call"},
           {"names-after-reading", names, "at first"},
           {"names-by-instance", names, "in a second instance"},
           {"labels-too-few", labels, "target(57) has 2 entries as its target; expected 3 labels"},
           {"labels-of-two", labels, "target(12) has 2 as entry 1"},
           {"labels-names-short", names, "2 names for 3 labels"},
           {"values-infinite", labels, "target(33) has inf as entry 2"},
           {"values-disagree", labels, "target(93) differs from get(93).target"},
           {"values-same-names", names, "targets 0 and 2 are both called \"big\""},
           {"mask-beyond", labels, "sample 41 has a mask with the category 3; expected 0 to 2"},
           {"mask-size", labels, "sample 57 has a mask of 5x5 pixels for an image of 6x5"},
           {"mask-scratch", stay, "while others were read"},
           {"fingerprint-empty", fingerprint, "it is empty"},
           {"fingerprint-binary", fingerprint, "no text"},
           {"fingerprint-constant", "the fingerprint changes with the content", "seed = 2"},
           {"execution-in-samples", "the fingerprint changes with the content",
            "seed is declared execution_only"},
           {"fingerprint-by-second", "", ""},
           {"fingerprint-by-clock", fingerprint, "at a second call"},
           {"fingerprint-by-address", fingerprint, "in a second instance"},
           {"fingerprint-by-folder", fingerprint, "in another current folder"},
           {"fingerprint-by-thread", fingerprint, "in another thread"},
           {"fingerprint-by-process", fingerprint, "in another process"},
           {"fingerprint-by-reads", fingerprint, "it differs"},
           {"sample-names-by-instance", "samples keep their names", "in another instance"},
           {"sample-names-by-reads", "samples keep their names", "after samples were read"},
           {"draws-rand", generators, "draws from std::rand"},
           {"draws-torch", generators, "draws from LibTorch's generator"},
           {"time-in-samples", "", ""},
           {"process-in-samples", fingerprint, "samples or targets() differ in another process"},
           {"changes-folder", "instances are made, and go in any order", "the current folder was"},
           {"changes-locale", "instances are made, and go in any order", "the locale was"}}};
}

TEST(ConformFaults, OfDatasets) {
  expect_found(one_for_each_check(misbehaving_datasets()), /*all=*/false);
}

TEST(WideConformFaults, OfDatasets) { expect_found(misbehaving_datasets(), /*all=*/true); }

Library misbehaving_augmentations() {
  const std::string accepts = "accepts images, and refuses others as wrong input";
  const std::string written =
      "views have the shape that is announced, all of it written and finite";
  const std::string beside =
      "writes the view and nothing beside it, reads the image and nothing beside it";
  const std::string before = "a view does not depend on what was made before";
  const std::string places = "rows and columns keep their places, whatever the image's shape";
  const std::string stream = "draws from the stream that it is given and from no other";
  const std::string image = "the image stays as it is";
  return {"misbehaving_augmentations",
          {"right"},
          {{"fails-on-gray", accepts, "as a failed run"},
           {"throws-on-wide", accepts, "images of 1x24x40 are refused by an exception"},
           {"crashes-on-tiny-shapes", accepts, "no bissl::Error"},
           {"refuses-late", accepts, "apply() fails on them"},
           {"announces-exchanged", places, "not in those of 1x24x40"},
           {"reads-exchanged", places, "rows and columns"},
           {"writes-exchanged", places, "rows and columns"},
           {"reads-next-pixel", beside, "bytes beside the image's pixels"},
           {"reads-by-height", beside, "bytes beside the image's pixels"},
           {"writes-by-height", written, "was not written"},
           {"adds-to-output", beside, "what the output's memory held before"},
           {"writes-behind", beside, "output[3072] of a view of 3x32x32"},
           {"writes-far-behind", beside, "output[3136]"},
           {"writes-before", beside, "output[-1]"},
           {"adds-behind", beside, "output[3075]"},
           {"counts-calls", "", ""},
           {"remembers-by-address", before, "by an image's address"},
           {"remembers-by-shape", before, "or shape"},
           {"first-stream-only", before, "static variables"},
           {"draws-rand", "", ""},
           {"device-random", "", ""},
           {"keeps-an-engine", "", ""},
           {"seeds-rand", stream, "std::rand"},
           {"draws-torch", stream, "LibTorch's generator"},
           {"time", "", ""},
           {"shared-by-threads", "several threads work at once", "share no memory", true},
           {"skips-second-view", written, "element 0 of view 1"},
           {"bytes", written, "is 255"},
           {"writes-into-image", image, "wrote into the image"},
           {"writes-beside-image", image, "or beside it"}}};
}

TEST(ConformFaults, OfAugmentations) {
  expect_found(one_for_each_check(misbehaving_augmentations()), /*all=*/false);
}

TEST(WideConformFaults, OfAugmentations) {
  expect_found(misbehaving_augmentations(), /*all=*/true);
}

Library misbehaving_transforms() {
  const std::string accepts = "accepts images, and refuses others as wrong input";
  const std::string written =
      "views have the shape that is announced, all of it written and finite";
  const std::string beside =
      "writes the view and nothing beside it, reads the image and nothing beside it";
  const std::string places = "tells where a view lies in its image";
  const std::string plans = "plans the views that it makes, where it can";
  return {"misbehaving_transforms",
          {"right-pixels", "right-planes", "right-plan"},
          {{"shrinks-in-place", accepts, "but the transform works in place"},
           {"refuses-as-failed", accepts, "as a failed run"},
           {"counts-calls", "", ""},
           {"writes-behind", beside, "output[3072] of a view of 3x32x32"},
           {"writes-behind-pixels", written, "wrote to byte 3072 of room for 3072 bytes"},
           {"leaves-a-gap", written, "was not written"},
           {"changes-its-input", written, "changes the planes that it is given"},
           {"geometry-nan", places, "map areas to areas"},
           {"geometry-line", places, "map areas to areas"},
           {"geometry-backwards", places, "far outside"},
           {"geometry-by-calls", places, "differs at a second call"},
           {"plans-other-draws", plans, "plan() draws other numbers"},
           {"plans-other-values", plans, "when they are made as plan() says"},
           {"plans-other-places", plans, "return different geometries"}}};
}

TEST(ConformFaults, OfTransforms) {
  expect_found(one_for_each_check(misbehaving_transforms()), /*all=*/false);
}

TEST(WideConformFaults, OfTransforms) { expect_found(misbehaving_transforms(), /*all=*/true); }

Library misbehaving_batch_transforms() {
  const std::string batches = "whole batches give what single views give, where they are taken";
  return {"batch_transforms",
          {"shift-batch"},
          {{"shares-a-stream", batches, "let each row depend on itself"},
           {"counts-rows", batches, "let each row depend on itself"},
           {"forgets-places", batches, "moved["},
           {"mixes-rows", batches, "let each row depend on itself"},
           {"turns-the-shape", batches, "write into the memory that is there"},
           {"draws-torch", batches, "LibTorch's generator"},
           {"differs-alone", batches, "what apply() makes of it"},
           {"shares-numbers", batches, "came out different; share no memory"}}};
}

TEST(ConformFaults, OfTransformsOfBatches) {
  expect_found(one_for_each_check(misbehaving_batch_transforms()), /*all=*/false);
}

TEST(WideConformFaults, OfTransformsOfBatches) {
  expect_found(misbehaving_batch_transforms(), /*all=*/true);
}

Library misbehaving_solvers() {
  const std::string abilities = "abilities are found by their identifiers";
  const std::string refuses = "a state that does not fit is refused as wrong input";
  const std::string next = "solves the next system as a fresh instance with its state does";
  const std::string moves =
      "each parameter moves, of any number of dimensions, and nothing else changes";
  const std::string zeros = "weights and gradients that are 0 leave all finite";
  const std::string rate = "steps have the learning rate that it says, times the factor";
  const std::string preconditioner =
      "the preconditioner has the gradients' shapes and changes nothing";
  const std::string solves = "solves, with a finite vector like u, and leaves u alone";
  const std::string account = "tells the products that it made, and a residual that is that of v";
  const std::string memory = "keeps no memory of u or v, and refuses a state that is not its own";
  return {"misbehaving_solvers",
          {"right", "right-in-all", "right-product", "right-of-each-system", "right-at-its-bounds",
           "ability-unlisted"},
          {{"ability-by-own-address", abilities, "the address of something else"},
           {"ability-for-any-identifier", abilities, "there is no such ability"},
           {"state-of-one-name", "continues from its state with the same bits",
            "two tensors called \"velocity\""},
           {"state-of-any-shape", refuses, "a state with tensors of other shapes was accepted"},
           {"keeps-the-first-system", next, "it keeps something of the first"},
           {"system-by-address", next, "the address may be the same for both"},
           {"memory-of-u", solves, "u's own memory"},
           {"skips-the-last", moves, "does not move in 20 steps"},
           {"matrices-alone", moves, "dimensions"},
           {"adds-to-gradients", moves, "changes the gradient of \"matrix\""},
           {"stops-at-a-missing-gradient", "a parameter without gradient stays",
            "parameter 2 stays as well"},
           {"divides-by-the-norm", zeros, "with gradients that are 0"},
           {"scaled-by-the-weights", zeros, "begins at 0, as biases do"},
           {"rate-of-now", rate, "it is the base rate"},
           {"rate-of-nobody", rate, "with lr = 0.01 and with 0.005"},
           {"factor-twice", rate, "with lr_scale = 0.5 differ"},
           {"another-momentum", "the momentum is that of its steps", "momentum() is 0.9"},
           {"growing-weights", "weight decay is what it was set to", "Is a sign wrong?"},
           {"preconditioner-steps", preconditioner, "a step is another one"},
           {"preconditioner-divides", preconditioner, "not finite where gradients are 0"},
           {"preconditioner-leaves-out", preconditioner, "2 factors for 3 gradients"},
           {"forgives-a-missing-part", refuses, "missing was accepted"},
           {"slow-weights-elsewhere", "continues from its state with the same bits",
            "parameters, gradients and state()"},
           {"ignores-the-weight", "the system's weight counts", "w = system.weight()"},
           {"draws-rand", "leaves models, buffers and generator alone", "std::rand"},
           {"leaves-gradients-on", solves, "leaves gradient mode on"},
           {"other-needs-later", "asks for what it uses", "needs() differs after a solve"},
           {"throws-at-its-bound",
            "is made at the ends of its bounds, or refuses them as wrong input", "period = 0 lies"},
           {"counts-no-product", account, "hessian_products is 0, and the system made 1"},
           {"residual-of-another", account, "the relative residual is said to be 1e-06"},
           {"takes-any-state", memory, "an unknown part was accepted"},
           {"memory-of-the-last", memory, "keep copies"}}};
}

TEST(ConformFaults, OfSolvers) {
  expect_found(one_for_each_check(misbehaving_solvers()), /*all=*/false);
}

TEST(WideConformFaults, OfSolvers) { expect_found(misbehaving_solvers(), /*all=*/true); }

TEST(ConformFaults, SaysWhichAbilityIsNeverAskedFor) {
  const Outcome outcome = run_bissl(
      {"conform", "--json", fixture("misbehaving_solvers"), "--component", "ability-unlisted"});
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  const auto checks = checks_of(outcome);
  const auto& check = checks.at("ability-unlisted").at(3);
  EXPECT_EQ(check["check"], "abilities are found by their identifiers");
  EXPECT_EQ(check["status"], "skipped");
  EXPECT_NE(check["detail"].get<std::string>().find("\"bissl.optimizer.momentum-setting/1\""),
            std::string::npos)
      << check.dump();
}

Library misbehaving_tasks() {
  const std::string made = "is made for features and targets, and gives outputs";
  const std::string classes = "any number of targets, with outputs for each";
  const std::string scalar = "the loss is a finite scalar";
  const std::string order = "right outputs cost less than wrong ones";
  const std::string untouched = "features, outputs and targets stay as they are";
  const std::string evaluation =
      "in evaluation a sample does not depend on chance, on others or on their order";
  const std::string chance = "chance in training comes from LibTorch's generator";
  const std::string reaches = "the gradient reaches the head and the features";
  const std::string state =
      "what training changes is in parameters and buffers, of fixed names and shapes";
  const std::string alike =
      "instances are alike but independent, and one generator gives the same weights";
  const std::string batches = "metrics do not depend on how the data is cut into batches";
  const std::string passes = "metrics of two passes are the same, and passes do not mix";
  const std::string right = "metrics of right and wrong outputs";
  return {
      "misbehaving_tasks",
      {"right", "right-number", "dropout-in-training", "running-mean-in-buffer",
       "couples-as-declared"},
      {{"unregistered-layer", made, "a weight is not in module()"},
       {"squeezes", made, "the first size must be the number of samples"},
       {"common-layer", alike, "share \"head.weight\""},
       {"weights-by-rand", alike, "draw from it alone"},
       {"ten-outputs", classes, "an output for each class"},
       {"thousand-outputs", classes, "an output for each class"},
       {"one-output-more", classes, "an output for each class"},
       {"one-output-less", classes, "loss() fails"},
       {"two-outputs", classes, "loss() fails"},
       {"fails-to-refuse", classes, "refuse what cannot be handled"},
       {"one-element", classes, "must be a scalar"},
       {"for-each-sample", classes, "must be a scalar"},
       {"counts-losses", scalar, "at a second call"},
       {"first-sample", scalar, "in another order"},
       {"half-the-batch", scalar, "in another order"},
       {"order-of-losses", scalar, "in another order"},
       {"logarithm-of-softmax", scalar, "log_softmax"},
       {"negated", order, "is a sign wrong"},
       {"next-class", order, "right ones must cost less"},
       {"reversed-classes", order, "right ones must cost less"},
       {"no-targets", order, "right ones must cost less"},
       {"constant-targets", order, "right ones must cost less"},
       {"constant", order, "right ones must cost less"},
       {"ignores-class-0", order, "of class 0 costs nothing"},
       {"couples-samples", "a loss that couples samples says so", "bissl.downstream.coupling/1"},
       {"moves-targets", untouched, "loss() changes the targets"},
       {"moves-outputs", untouched, "loss() changes the outputs"},
       {"changes-features", untouched, "forward() changes the features"},
       {"adds-into-outputs", untouched, "add() of the metrics changes the outputs"},
       {"adds-into-targets", untouched, "add() of the metrics changes the targets"},
       {"leaves-evaluation-mode", untouched, "another mode"},
       {"dropout-always", evaluation, "give dropout the module's mode"},
       {"mean-of-the-batch", evaluation, "when it is alone"},
       {"order-of-the-batch", evaluation, "when it is alone"},
       {"dropout-by-rand", chance, "generator"},
       {"detached-features", reaches, "the features get no gradient"},
       {"detached-head", reaches, "no gradient at all"},
       {"wrong-number", reaches, "the features get no gradient"},
       {"counts-in-a-member", state, "keep it in buffers"},
       {"running-mean-in-member", state, "keep it in buffers"},
       {"lazy-buffer", state, "must be final when the factory returns"},
       {"last-batch", batches, "divide in result()"},
       {"mean-of-batches", batches, "divide in result()"},
       {"common-sums", passes, "know nothing of earlier ones"},
       {"result-that-divides", passes, "in the midst of a pass"},
       {"result-that-clears", passes, "result()"},
       {"result-that-counts", passes, "result()"},
       {"percent", right, "none is above 1"},
       {"reversed", right, "of right outputs is 0"},
       {"blind-metric", right, "no metric tells"}}};
}

TEST(ConformFaults, OfDownstreamTasks) {
  expect_found(one_for_each_check(misbehaving_tasks()), /*all=*/false);
}

TEST(WideConformFaults, OfDownstreamTasks) { expect_found(misbehaving_tasks(), /*all=*/true); }

Library misbehaving_targets() {
  const std::string any = "any number of targets, with outputs for each";
  const std::string order = "right outputs cost less than wrong ones";
  const std::string gaps = "entries that do not count change neither loss nor metrics";
  const std::string declared = "metrics are declared with name and text, and given as declared";
  const std::string right = "metrics of right and wrong outputs";
  return {"misbehaving_targets",
          {"both-right", "labels-right", "values-right", "mask-right"},
          {{"labels-metric-of-all", gaps, "change the metrics"},
           {"labels-not-counted-times-0", any, "the loss is nan"},
           {"labels-loss-of-all", gaps, "change the loss"},
           {"labels-divides-by-nothing", gaps, "at least by 1"},
           {"labels-negated", order, "is a sign wrong"},
           {"labels-logarithm-of-sigmoid", "the loss is a finite scalar",
            "binary_cross_entropy_with_logits"},
           {"values-one-output", any, "an output for each, (N, 4)"},
           {"values-shifted", order, "right ones must cost less"},
           {"values-mean-of-batches", "metrics do not depend on how the data is cut into batches",
            "divide in result()"},
           {"values-other-metric", declared, "distance, more, metric_info() declares"},
           {"values-other-order", declared, "in the same order"},
           {"values-odd-name", declared, "a metric is called \"my distance\""},
           {"values-no-text", declared, "has no text of one line"},
           {"values-declared-twice", declared, "declares distance twice"},
           {"values-no-metric", declared, "there must be at least one"},
           {"values-wrong-direction", right, "the wrong way round"},
           {"values-beyond-bound", right, "none is above 1"}}};
}

TEST(ConformFaults, OfTasksForOtherTargets) {
  expect_found(one_for_each_check(misbehaving_targets()), /*all=*/false);
}

TEST(WideConformFaults, OfTasksForOtherTargets) {
  expect_found(misbehaving_targets(), /*all=*/true);
}

}  // namespace
}  // namespace bissl::host::test
