// `bissl conform` on pretext tasks and backbones that break one promise each, and on odd ones that
// keep all of them.

#include "program.h"
#include "support/paths.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

/// A value of the component's parameter, the check that must fail, and words of its message.
struct Fault {
  const char* name;
  const char* check;
  const char* words;
};

constexpr const char* continues =
    "training continues with the same bits from parameters and buffers";
constexpr const char* structure =
    "parameters and buffers keep their names and shapes, and stay finite";
constexpr const char* spares = "loss leaves its views, the backbone and all weights alone";
constexpr const char* after = "after_step leaves the backbone alone";
constexpr const char* scalar = "the loss is a finite scalar with a graph";
constexpr const char* moves = "the loss moves the backbone";
constexpr const char* in_module = "all weights of the loss are in module()";
constexpr const char* no_trace = "a pass that is no training leaves no trace";
constexpr const char* precise = "works in double precision, as audits need it";
constexpr const char* gradient = "the gradient is that of the loss";

const std::vector<Fault>& pretext_faults() {
  static const std::vector<Fault> faults = {
      // State that a resumed run loses.
      {"average-in-a-member", continues, "a new instance in the same process"},
      {"average-in-a-static", continues, "not in members, statics or captures"},
      {"average-in-a-vector", continues, "a new instance"},
      {"average-in-a-capture", continues, "a new instance"},
      {"teacher-made-in-the-first-loss", continues, "a new instance"},
      {"static-teacher-made-in-the-first-loss", continues, "in another process"},
      {"counter-in-a-member", continues, "a new instance"},
      {"every-tenth-step", continues, "a new instance"},
      {"address", continues, "a new instance"},
      {"keeps-a-graph", continues, "backward through the graph a second time"},
      {"loose-projection", continues, "a new instance"},
      {"weight-assigned", continues, "a new instance"},
      {"std-rand", continues, "a new instance"},
      {"random-device", continues, "LibTorch's generator alone"},
      {"clock", continues, ""},
      {"engine-in-a-member", continues, "a new instance"},
      {"engine-in-a-static", continues, "a new instance"},
      {"advances-in-loss", no_trace, "some state is elsewhere"},
      {"seeds-the-generator", no_trace, "sets the seed of LibTorch's generator"},
      {"seeds-the-generator-in-the-factory", scalar, "the factory sets the seed"},
      {"progress-in-a-member", "a copy of the state has the same loss",
       "What before_step takes of the progress"},
      {"keeps-the-backbone", "the loss is that of the backbone that it is given",
       "another backbone"},
      // Names, shapes and values of parameters and buffers.
      {"buffer-made-in-loss", structure, "new buffer \"late\" after loss"},
      {"layer-made-in-loss", structure, "new parameter \"late.weight\""},
      {"registers-in-the-backbone", structure, "the backbone has a new buffer \"late\""},
      {"buffer-resized-in-loss", structure, "has shape [1, 4]"},
      {"buffer-made-in-after-step", structure, "register everything there"},
      {"buffer-made-late", structure, "new buffer \"late\""},
      {"parameter-made-in-after-step", structure, "new parameter \"late\""},
      {"buffer-grows", structure, "and [4] when the factory returned"},
      {"buffer-changes-shape", structure, "has shape [1, 4]"},
      {"buffer-changes-type", structure, "is of type Float"},
      {"head-made-anew", after, "another tensor into the place of \"head.weight\""},
      {"nan-in-after-step", structure, "\"average\" of the task holds NaN"},
      // What belongs to the host.
      {"loss-moves-the-backbone", spares, "loss changes the parameter \"first.weight\""},
      {"loss-resets-statistics", spares, "changes buffers of the backbone"},
      {"loss-freezes-a-weight", scalar, "switches requires_grad of \"first.weight\""},
      {"loss-leaves-evaluation-mode", spares, "leaves the backbone in evaluation mode"},
      {"loss-freezes-normalisation", spares, "the backbone (normalisation) in evaluation mode"},
      {"gradient-mode-left-off", spares, "gradient mode off"},
      {"changes-views", spares, "changes the views"},
      {"changes-one-pixel", spares, "clone them first"},
      {"views-require-gradients", spares, "requires_grad of the views"},
      {"backward-inside", spares, "as backward() does"},
      {"backward-uses-graph-up", moves, "return the result, the host differentiates it"},
      {"before-step-moves-the-backbone", "before_step leaves the backbone alone",
       "before_step changes the parameter \"first.weight\""},
      {"after-step-moves-the-backbone", after, "after_step changes the parameter \"first.weight\""},
      {"after-step-resets-statistics", after, "after_step changes the buffer"},
      {"after-step-leaves-evaluation-mode", after, "in evaluation mode"},
      {"after-step-freezes-the-backbone", after, "switches requires_grad"},
      // The loss.
      {"nan-loss", scalar, "the loss is nan"},
      {"infinite-loss", scalar, "the loss is inf"},
      {"shape-of-one", scalar, "has shape [1]"},
      {"loss-of-each-sample", scalar, "has shape [8]"},
      {"constant", moves, "no parameter of the backbone is in it"},
      {"own-weights-only", moves, "no parameter of the backbone is in it"},
      {"detached", moves, "without detach()"},
      {"zero-gradient", moves, "is 0 in all parameters of the backbone"},
      {"loose-layer", in_module, "a weight of shape [4, 6]"},
      {"loose-weight", in_module, "a weight of shape [6, 4]"},
      {"loose-layer", precise, "a weight or buffer is not in module()"},
      {"single-precision", precise, "is of type Float"},
      {"queue-without-a-copy", moves, "buffer.clone()"},
      {"root-of-zero", "the loss is finite where views are equal", "gradient is not finite"},
      {"first-view-only", "each view counts", "view 1 of 2"},
      {"ignores-images", "each view counts", "view 0 of 2"},
      {"square-only", "takes images that are not square", "with fail_input"},
      {"queue-of-eight", "takes batches of any size from 2 on", "a batch of 2 samples"},
      {"half-detached", gradient, "holds_targets_fixed()"},
      {"holds-nothing-fixed", "targets are held fixed, as declared", "Return false"},
      {"couples-after-all", "the batch couples as declared", "coupling() is separable"},
  };
  return faults;
}

constexpr const char* alone =
    "in evaluation mode a sample does not depend on the others, nor change anything";
constexpr const char* alike =
    "instances are alike but independent, and one generator gives the same weights";
constexpr const char* leaves_alone = "forward leaves images, weights, names and modes alone";
constexpr const char* shared = "processes that share a batch compute what one computes";
constexpr const char* differences =
    "the gradient is that of the features (training mode, double precision)";

constexpr const char* maps = "feature maps are as declared";
constexpr const char* tokens = "tokens are as declared";

const std::vector<Fault>& backbone_faults() {
  static const std::vector<Fault> faults = {
      {"first-sample-only", alone, "of sample 1"},
      {"last-sample-only", alone, "of sample 0"},
      {"neighbour", alone, "neighbours"},
      {"batch-mean", alone, "neighbours"},
      {"squeezes", alone, "[1, 5] is expected"},
      {"dropout-in-evaluation", alone, "alone"},
      {"counts-in-evaluation", alone, "changes the buffer \"count\""},
      {"reused-output", alone, "Return a new tensor"},
      {"ignores-images", "different images have different features, all finite", "same features"},
      {"nan-for-black-images", "different images have different features, all finite", "black"},
      {"counter-in-a-member", continues, "a new instance"},
      {"average-in-a-member", continues, "a new instance"},
      {"average-in-a-static", continues, "a new instance"},
      {"weights-shared", alike, "share \"linear.weight\""},
      {"weights-by-rand", alike, "draw from it alone"},
      {"weights-by-clock", alike, "a second later"},
      {"seeds-the-generator", alike, "the factory sets the seed"},
      {"changes-images", leaves_alone, "changes the images"},
      {"changes-weights", leaves_alone, "changes the parameter \"linear.weight\""},
      {"leaves-evaluation-mode", leaves_alone, "in evaluation mode"},
      {"freezes-a-weight", leaves_alone, "switches requires_grad of \"linear.bias\""},
      {"buffer-made-in-forward", leaves_alone, "new buffer \"late\""},
      {"buffer-grows", leaves_alone, "\"count\" of the backbone has shape"},
      {"gradient-mode-left-off", leaves_alone, "gradient mode off"},
      {"square-only", "takes images that are not square, or refuses them as wrong input", "fail"},
      {"single-precision", differences, "features of type Float"},
      {"loose-layer", differences, "is not in module()"},
      {"detached", differences, "do not depend on the parameters"},
      {"half-detached", differences, "a difference of losses"},
      {"batch-mean-in-training", shared, "2 processes that share a batch have other features"},
      {"sums-of-a-part", shared, "add up tensors of several shapes"},
      {"maps-of-more-channels", maps, "declares 7 channels"},
      {"maps-of-another-stride", maps, "the stride 8"},
      {"maps-of-the-batch", maps, "when the image is alone"},
      {"maps-without-a-graph", maps, "the graph is cut off"},
      {"tokens-by-columns", tokens, "numbered row by row"},
      {"tokens-of-all", tokens, "must be left out"},
      {"tokens-without-a-mask", tokens, "by the mask token"},
      {"tokens-without-the-first", tokens, "make it [3, 65, 5]"},
  };
  return faults;
}

std::vector<std::string> call_for(const std::string& library, const std::string& parameter,
                                  const std::string& value) {
  return {"conform", "--json", (fs::path(fixture_plugin_folder) / (library + ".so")).string(),
          "--set", "specimen." + parameter + "=" + value};
}

/// Tells what is wrong with the report about a fault, or gives an empty text.
std::string complaint(const Fault& fault, const Outcome& outcome) {
  const auto report = nlohmann::json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  if (outcome.code != 1 || report.is_discarded()) {
    return "exit code " + std::to_string(outcome.code) + "\n" + outcome.out + outcome.err;
  }
  std::string all;
  for (const auto& check : report.at("checks")) {
    if (check["component"] == "specimen" && check["status"] == "failed") {
      const std::string detail = check["detail"];
      all += check["check"].get<std::string>() + ": " + detail + "\n";
      if (check["check"] == fault.check && detail.find(fault.words) != std::string::npos) {
        return "";
      }
    }
  }
  return std::string("expected of \"") + fault.check + "\": " + fault.words + "\nfound\n" + all;
}

/// Some calls at a time: each of them waits for a clock for a while.
void expect_found(const std::string& library, const std::vector<Fault>& faults) {
  constexpr size_t at_once = 3;
  for (size_t first = 0; first < faults.size(); first += at_once) {
    std::vector<std::unique_ptr<BackgroundCall>> calls;
    const size_t end = std::min(faults.size(), first + at_once);
    for (size_t i = first; i < end; ++i) {
      calls.push_back(std::make_unique<BackgroundCall>(call_for(library, "fault", faults[i].name)));
    }
    for (size_t i = first; i < end; ++i) {
      const std::string wrong = complaint(faults[i], calls[i - first]->wait());
      EXPECT_EQ(wrong, "") << faults[i].name;
    }
  }
}

/// The first fault of each check, or all the others.
std::vector<Fault> faults_of(const std::vector<Fault>& all, bool first_of_each_check) {
  std::set<std::string> checks;
  std::vector<Fault> chosen;
  for (const Fault& fault : all) {
    if (checks.insert(fault.check).second == first_of_each_check) {
      chosen.push_back(fault);
    }
  }
  return chosen;
}

void expect_sound(const std::string& library, const std::vector<std::string>& forms) {
  for (const std::string& form : forms) {
    const Outcome outcome = run_bissl(call_for(library, "form", form));
    const auto report = nlohmann::json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
    ASSERT_FALSE(report.is_discarded()) << form << outcome.out << outcome.err;
    int passed = 0;
    for (const auto& check : report.at("checks")) {
      if (check["component"] == "specimen") {
        EXPECT_NE(check["status"], "failed") << form << ": " << check.dump();
        passed += check["status"] == "passed" ? 1 : 0;
      }
    }
    EXPECT_GE(passed, 14) << form;
  }
}

TEST(ConformTraining, EachCheckOfPretextTasksFindsAMistake) {
  expect_found("faulty_pretext", faults_of(pretext_faults(), /*first_of_each_check=*/true));
}

TEST(ConformTraining, EachCheckOfBackbonesFindsAMistake) {
  expect_found("faulty_backbone", faults_of(backbone_faults(), /*first_of_each_check=*/true));
}

TEST(ConformTraining, OddPretextTasksThatKeepTheirPromisesPass) {
  expect_sound("faulty_pretext",
               {"average", "queue", "mask", "backbone-teacher", "dropout", "stop-gradient"});
}

TEST(ConformTraining, OddBackbonesThatKeepTheirPromisesPass) {
  expect_sound("faulty_backbone", {"one-size", "counting", "dropout", "maps-and-tokens"});
}

TEST(WideConformTraining, EachKindOfPretextMistakeIsFound) {
  expect_found("faulty_pretext", faults_of(pretext_faults(), /*first_of_each_check=*/false));
}

TEST(WideConformTraining, EachKindOfBackboneMistakeIsFound) {
  expect_found("faulty_backbone", faults_of(backbone_faults(), /*first_of_each_check=*/false));
}

TEST(WideConformTraining, OtherPretextTasksThatKeepTheirPromisesPass) {
  expect_sound("faulty_pretext", {"plain", "unused-parameter", "frozen-teacher", "half-batch",
                                  "summed", "relu", "draws-after-the-step"});
}

TEST(WideConformTraining, OtherBackbonesThatKeepTheirPromisesPass) {
  expect_sound("faulty_backbone", {"plain", "unused-parameter", "relu"});
}

}  // namespace
}  // namespace bissl::host::test
