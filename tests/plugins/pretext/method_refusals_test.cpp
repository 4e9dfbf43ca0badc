// What pretext tasks of the families refuse, what they draw, and what single ones keep.

#include "bissl/error.h"
#include "bissl/pretext.h"
#include "method_trial.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "sdk/plugin_library.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::golden_of;
using test::Trial;

/// What `work` is refused with as wrong input.
std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "no error";
}

std::string refusal_of_batch(const std::string& name, int64_t samples) {
  const json golden = golden_of(name);
  Trial trial(golden);
  return refusal([&] { trial.task->loss(*trial.backbone, trial.batch(0, samples)); });
}

TEST(MethodRefusals, BatchesThatAreTooSmall) {
  for (const char* name :
       {"barlow-twins", "dcl", "dclw", "jigsaw", "lejepa", "moco-v3", "nnclr", "relative-location",
        "ressl", "sela", "simsiam", "supcon", "tico", "vicreg", "msn", "vicregl"}) {
    const std::string text = refusal_of_batch(name, 1);
    EXPECT_NE(text.find("needs at least 2; found 1"), std::string::npos) << name << ": " << text;
    EXPECT_EQ(text.find(name), 0U) << text;
  }
  EXPECT_NE(refusal_of_batch("w-mse", 6)
                .find("whitens 4 samples at a time (part, for 2 dimensions), and the batch has 6"),
            std::string::npos);
}

/// Without hidden layers nothing is normalised over the samples.
TEST(MethodRefusals, ASampleByItselfIsTakenWithoutHiddenLayers) {
  for (const char* name : {"jigsaw", "relative-location", "sela"}) {
    json golden = golden_of(name);
    golden["parameters"]["hidden"] = json::array();
    Trial trial(golden);
    EXPECT_EQ(refusal([&] { trial.task->loss(*trial.backbone, trial.batch(0, 1)); }), "no error")
        << name;
  }
}

/// What the factory refuses with these entries of the golden table.
std::string refusal_of_factory(const std::string& name, const json& changes) {
  json golden = golden_of(name);
  golden.merge_patch(changes);
  return refusal([&] { const Trial trial(golden); });
}

TEST(MethodRefusals, QueuesThatDoNotFitTheDataOrABatch) {
  for (const char* name : {"moco", "nnclr", "ressl"}) {
    EXPECT_EQ(
        refusal_of_factory(name, {{"parameters", {{"queue", 5}}}}),
        std::string(name) + ": queue = 5 does not hold a batch of 8 samples. Take a longer queue");
    EXPECT_EQ(refusal_of_factory(name, {{"data", 11}}),
              std::string(name) +
                  ": queue = 12 is longer than the data, which has 11 samples: samples would be "
                  "compared with themselves. Take a shorter queue");
    EXPECT_EQ(refusal_of_factory(name, {{"data", 12}}), "no error");
  }
}

TEST(MethodRefusals, FewerPrototypesThanClasses) {
  for (const char* name : {"dino", "msn"}) {
    const auto prototypes = golden_of(name)["parameters"]["prototypes"].get<int64_t>();
    EXPECT_EQ(refusal_of_factory(name, {{"classes", prototypes}}), "no error");
    EXPECT_EQ(
        refusal_of_factory(name, {{"classes", prototypes + 1}}),
        fmt::format("{}: prototypes = {} is fewer than the {} classes of the data: samples of "
                    "several classes would have to share one. Take more prototypes",
                    name, prototypes, prototypes + 1));
  }
  EXPECT_EQ(refusal_of_factory("sela", {{"classes", 3}}), "no error");
  EXPECT_EQ(refusal_of_factory("sela", {{"classes", 4}}),
            "sela: labels = 3 is fewer than the 4 classes of the data: samples of several classes "
            "would have to share one. Take more labels");
}

TEST(MethodRefusals, BatchesAndDataThatDoNotServe) {
  EXPECT_EQ(refusal_of_factory("w-mse", {{"samples", 6}}),
            "w-mse whitens 4 samples at a time (part, for 2 dimensions), and the batch has 6: take "
            "a batch of whole parts, or a smaller part");
  EXPECT_EQ(refusal_of_factory("sela", {{"data", 2}}),
            "sela: labels = 3 is more than the 2 samples of the data. Take fewer labels");
}

/// Both are named: the task by the host, the backbone by the task.
TEST(MethodRefusals, BackbonesWithoutTheAbility) {
  for (const char* name : {"i-jepa", "mae", "msn"}) {
    const std::string text = refusal_of_factory(name, {{"backbone", "moments"}});
    EXPECT_NE(text.find("needs a backbone with tokens of patches (bissl.backbone.tokens/1)"),
              std::string::npos)
        << name << ": " << text;
    EXPECT_NE(text.find("the backbone has none"), std::string::npos) << name << ": " << text;
  }
  for (const char* name : {"inpainting", "vicregl"}) {
    EXPECT_NE(refusal_of_factory(name, {{"backbone", "moments"}})
                  .find("needs a backbone with feature maps"),
              std::string::npos)
        << name;
  }
  EXPECT_NE(refusal_of_factory("simmim", {{"backbone", "moments"}})
                .find("needs a backbone with tokens of patches or feature maps"),
            std::string::npos);
}

TEST(MethodRefusals, PatchesThatDoNotCutTheViews) {
  for (const char* name : {"i-jepa", "mae", "msn", "simmim"}) {
    const json golden = golden_of(name);
    const json views = {{golden["views"][0][0], 9}};
    EXPECT_NE(refusal_of_factory(name, {{"views", views}})
                  .find("patches of 2x2 pixels (the backbone) do not cut a view of 9x9 into whole"),
              std::string::npos)
        << name;
  }
  EXPECT_NE(refusal_of_factory("simmim", {{"parameters", {{"mask_size", 3}}}})
                .find("mask_size = 3 is no whole number of patches of 2x2 pixels"),
            std::string::npos);
  EXPECT_NE(refusal_of_factory("mae", {{"parameters", {{"mask_ratio", 0.99}}}})
                .find("mask_ratio = 0.99 of 16 patches is all of them"),
            std::string::npos);
  EXPECT_NE(refusal_of_factory("inpainting", {{"parameters", {{"hole", 0.001}}}})
                .find("hole = 0.001 of a view of 8 pixels is none of them"),
            std::string::npos);
}

TEST(MethodRefusals, ViewsThatDoNotServe) {
  const auto made_with = [](const char* name, const json& views) {
    json golden = golden_of(name);
    golden["views"] = views;
    return refusal([&] { const Trial trial(golden); });
  };
  EXPECT_NE(made_with("dino", {{2, 4}, {2, 6}}).find("view 3 is larger, 6x6"), std::string::npos);
  EXPECT_NE(made_with("msn", {{1, 4}, {1, 8}})
                .find("of the first one's size, 4x4, and view 2 is larger, 8x8"),
            std::string::npos);
  EXPECT_EQ(made_with("msn", {{1, 8}, {1, 4}}), "no error");
  EXPECT_NE(made_with("relative-location", {{1, 3}}).find("a view of 3x3 is too small"),
            std::string::npos);
  EXPECT_NE(made_with("jigsaw", {{1, 2}}).find("a view of 2x2 is too small"), std::string::npos);
  const json golden = golden_of("rotation");
  Trial trial(golden);
  const Batch batch(Views{at::zeros({4, 3, 6, 5}, at::kDouble)});
  EXPECT_NE(
      refusal([&] { trial.task->loss(*trial.backbone, batch); }).find("must be square; found 6x5"),
      std::string::npos);
}

TEST(MethodRefusals, ValuesThatCannotWork) {
  struct Refused {
    const char* library;
    const char* name;
    ParameterValues values;
  };
  const std::vector<Refused> refused = {
      {"contrastive", "moco", {{"momentum", 1.0}}},
      {"contrastive", "moco", {{"momentum", -0.1}}},
      {"contrastive", "moco", {{"queue", int64_t{1}}}},
      {"contrastive", "moco-v3", {{"momentum", 1.0}}},
      {"contrastive", "nnclr", {{"queue", int64_t{0}}}},
      {"contrastive", "ressl", {{"momentum", 1.0}}},
      {"contrastive", "dcl", {{"temperature", 0.0}}},
      {"contrastive", "dclw", {{"sigma", 0.0}}},
      {"distillation", "dino", {{"prototypes", int64_t{1}}}},
      {"distillation", "dino", {{"momentum", 1.0}}},
      {"distillation", "dino", {{"centre_momentum", 1.0}}},
      {"masked", "i-jepa", {{"momentum", 1.0}}},
      {"masked", "msn", {{"momentum", 1.0}}},
      {"redundancy-reduction", "tico", {{"momentum", 1.0}}},
      {"redundancy-reduction", "w-mse", {{"epsilon", 1.0}}},
      {"surrogate-classes", "jigsaw", {{"permutations", int64_t{1}}}},
  };
  for (const Refused& one : refused) {
    EXPECT_THROW(test::shared_library(one.library).values(one.name, one.values),
                 std::invalid_argument)
        << one.name << " " << one.values.begin()->first;
  }
  const auto findings = [](const char* library, const char* name, const ParameterValues& values) {
    return test::shared_library(library).findings(name, values);
  };
  EXPECT_EQ(findings("redundancy-reduction", "w-mse", {{"part", int64_t{64}}}),
            std::vector<std::string>{
                "part: = 64 samples have no covariance of full rank in the projector's 64 "
                "dimensions: take more samples, or a narrower last layer"});
  EXPECT_EQ(
      findings("surrogate-classes", "jigsaw",
               {{"grid", int64_t{2}}, {"permutations", int64_t{25}}}),
      std::vector<std::string>{"permutations: = 25, but the 4 tiles of grid = 2 have 24 orders"});
  EXPECT_EQ(findings("distillation", "simsiam", {{"projector", std::vector<int64_t>{}}}),
            std::vector<std::string>{"projector: needs at least one layer"});
}

/// Blocks of patches that would hide all that a sample has leave it some.
TEST(MethodDraws, TargetsLeaveEachSampleAContext) {
  const auto expect_losses = [](const json& parameters, uint64_t draws) {
    json golden = golden_of("i-jepa");
    golden["parameters"].update(parameters);
    Trial trial(golden);
    const Batch batch = trial.batch(0);
    for (uint64_t seed = 0; seed < draws; ++seed) {
      seed_generator(seed);
      const at::Tensor loss = trial.task->loss(*trial.backbone, batch);
      EXPECT_TRUE(std::isfinite(loss.item<double>())) << parameters << ", seed " << seed;
    }
  };
  // Of the 4 by 4 patches, four blocks of 2 by 2 can be all.
  expect_losses({{"targets", 4}, {"target_scale_max", 0.2}}, 200);
  expect_losses({{"targets", 30}}, 20);
  expect_losses({{"target_scale_min", 1.0}, {"target_scale_max", 1.0}}, 5);
}

/// An audit computes in double precision what is trained in single precision.
TEST(MethodDraws, AreTheSameInBothPrecisions) {
  for (const char* name : {"i-jepa", "inpainting", "jigsaw", "lejepa", "mae", "msn",
                           "relative-location", "simmim", "simmim-maps"}) {
    const json golden = golden_of(name);
    Trial trial(golden);
    Batch batch = trial.batch(0);
    const auto loss = [&] {
      seed_generator(3);
      return trial.task->loss(*trial.backbone, batch).item<double>();
    };
    const double expected = loss();
    convert_precision(trial.backbone->module(), at::kFloat);
    convert_precision(trial.task->module(), at::kFloat);
    for (at::Tensor& view : batch.views) {
      view = view.to(at::kFloat);
    }
    EXPECT_NEAR(loss(), expected, 1e-3 * (1 + std::abs(expected))) << name;
  }
}

/// From what training saw; the labels of samples that it has not seen stay.
TEST(MethodStates, LabelsAreAssignedAnewToSamplesThatWereSeen) {
  const json golden = golden_of("sela");
  Trial trial(golden);
  const at::Tensor labels = trial.task->module().named_buffers()["labels"];
  const at::Tensor first = labels.clone();
  trial.step(0);
  trial.step(1);
  EXPECT_TRUE(labels.equal(first)) << "they are assigned before a step";
  trial.task->before_step({2, 3});
  EXPECT_FALSE(labels.equal(first));
  for (const int64_t unseen : {5, 8, 11, 14, 17}) {
    EXPECT_TRUE(labels[unseen].equal(first[unseen])) << unseen;
  }
  EXPECT_EQ(trial.task->module().named_buffers()["since"].item<int64_t>(), 0);
}

/// Equal batches twice: the queue holds the keys of the newest batches, written round and round.
TEST(MethodStates, AQueueHoldsTheNewestKeys) {
  const json golden = golden_of("moco");
  Trial trial(golden);
  const at::Tensor queue = trial.task->module().named_buffers()["queue"];
  trial.loss(0);
  const at::Tensor first = queue.clone();
  trial.loss(1);
  EXPECT_TRUE(queue.narrow(0, 4, 4).equal(first.narrow(0, 4, 4)));
  EXPECT_FALSE(queue.narrow(0, 0, 4).equal(first.narrow(0, 0, 4)));
  EXPECT_FALSE(queue.narrow(0, 8, 4).equal(first.narrow(0, 8, 4)));
  EXPECT_EQ(trial.task->module().named_buffers()["queue_next"].item<int64_t>(), 4);
  EXPECT_TRUE(at::allclose(queue.norm(2, {1}), at::ones({12}, at::kDouble)));
}

}  // namespace
}  // namespace bissl::host
