// What all pretext tasks of the families have in common: numbers of PyTorch, second derivatives,
// states that a Hessian product leaves alone, training that another instance continues.

#include "bissl/error.h"
#include "bissl/pretext.h"
#include "method_backbones.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "networks.h"
#include "reference/second_order.h"
#include "sdk/plugin_library.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/zeros_like.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

using nlohmann::json;
using test::close;
using test::flat;
using test::pattern;

Value value_of(const json& entry) {
  if (entry.is_boolean()) {
    return entry.get<bool>();
  }
  if (entry.is_number_integer()) {
    return entry.get<int64_t>();
  }
  return entry.is_array() ? Value(entry.get<std::vector<int64_t>>()) : Value(entry.get<double>());
}

std::vector<ImageShape> view_shapes(const json& golden) {
  std::vector<ImageShape> shapes;
  for (const auto& group : golden["views"]) {
    shapes.insert(shapes.end(), group[0].get<size_t>(), ImageShape{3, group[1], group[1]});
  }
  return shapes;
}

/// A task with its backbone in double precision, with the weights of tests/reference/methods.py.
class Trial {
 public:
  explicit Trial(const json& golden)
      : backbone(test::backbone_of(golden["backbone"])), golden_(golden) {
    PretextContext context;
    context.features = backbone->features();
    context.views = view_shapes(golden);
    context.steps = golden["steps"];
    context.samples = golden["data"];
    context.classes = golden.value("classes", int64_t{0});
    context.batch = golden["samples"];
    context.hessian_batch = golden["samples"];
    context.backbone = backbone.get();
    context.backbone_name = "the backbone";
    context.make_backbone = [&golden] {
      auto copy = test::backbone_of(golden["backbone"]);
      for (const at::Tensor& parameter : copy->module().parameters()) {
        parameter.requires_grad_(false);
      }
      return copy;
    };
    ParameterValues values;
    for (const auto& [name, entry] : golden["parameters"].items()) {
      values[name] = value_of(entry);
    }
    task = test::shared_library(golden["library"])
               .make<Pretext>(golden["name"].get<std::string>(), values, context);
    convert_to_double(task->module());
    test::fill(10, backbone->module().parameters());
    test::fill(20, own(true));
    test::fill(40, own(false));
    int64_t k = 60;
    for (const auto& [name, shape] : golden["filled"].items()) {
      test::fill(k++, {task->module().named_buffers()[name]});
    }
  }

  std::vector<at::Tensor> own(bool trained) const {
    std::vector<at::Tensor> some;
    for (const at::Tensor& parameter : task->module().parameters()) {
      if (parameter.requires_grad() == trained) {
        some.push_back(parameter);
      }
    }
    return some;
  }

  std::vector<at::Tensor> trained() {
    std::vector<at::Tensor> all = backbone->module().parameters();
    for (const at::Tensor& parameter : own(true)) {
      all.push_back(parameter);
    }
    return all;
  }

  /// Every parameter and buffer of both modules.
  std::vector<at::Tensor> everything() {
    std::vector<at::Tensor> all;
    for (const torch::nn::Module* module : {&backbone->module(), &task->module()}) {
      for (const at::Tensor& tensor : module->parameters()) {
        all.push_back(tensor);
      }
      for (const at::Tensor& tensor : module->buffers()) {
        all.push_back(tensor);
      }
    }
    return all;
  }

  Batch batch(int64_t step, int64_t samples = 0) const {
    const int64_t all = golden_["samples"];
    Batch made;
    int64_t group = 0;
    for (const auto& [count, size] :
         golden_["views"].get<std::vector<std::pair<int64_t, int64_t>>>()) {
      const at::Tensor views = pattern(100 * ++group + step, {count, all, 3, size, size}) * 4;
      for (const at::Tensor& view : views.unbind()) {
        made.views.push_back(view.narrow(0, 0, samples > 0 ? samples : all));
      }
    }
    const int64_t given = made.views[0].size(0);
    made.indices =
        (at::arange(given, at::kLong) * 3 + step).remainder(golden_["data"].get<int64_t>());
    for (size_t view = 0; view < made.views.size(); ++view) {
      made.geometry.push_back(at::sin(pattern(700 + 10 * int64_t(view) + step, {given, 2, 3}) * 3) +
                              at::eye(2, 3, at::kDouble));
    }
    if (golden_.contains("labels")) {
      made.targets.dense = at::zeros({all}, at::kLong);
      for (int64_t i = 0; i < all; ++i) {
        made.targets.dense[i] = golden_["labels"][size_t(i)].get<int64_t>();
      }
    }
    return made;
  }

  /// The loss of training.
  at::Tensor loss(int64_t step) {
    seed_generator(golden_["seed"]);
    return task->loss(*backbone, batch(step));
  }

  /// The loss as the host evaluates it beside training.
  at::Tensor evaluated(int64_t step) {
    const EvaluationGuard guard({&backbone->module(), &task->module()}, golden_["seed"]);
    return task->loss(*backbone, batch(step));
  }

  /// A step of training; gives loss and gradients.
  std::pair<double, TensorList> step(int64_t number) {
    const TrainingProgress progress{number, golden_["steps"]};
    task->before_step(progress);
    const at::Tensor value = loss(number);
    const std::vector<at::Tensor> parameters = trained();
    TensorList gradients =
        torch::autograd::grad({value}, parameters, {}, {}, false, /*allow_unused=*/true);
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (!gradients[i].defined()) {
        gradients[i] = at::zeros_like(parameters[i]);
      }
      parameters[i].sub_(gradients[i], golden_["rate"].get<double>());
    }
    task->after_step(*backbone, progress);
    return {value.item<double>(), gradients};
  }

  std::shared_ptr<Backbone> backbone;
  std::shared_ptr<Pretext> task;

 private:
  const json& golden_;
};

class Method : public ::testing::TestWithParam<const char*> {
 protected:
  Method() {
    const json all = test::golden("methods.json");
    for (const json& one : all["methods"]) {
      if (one["key"] == GetParam()) {
        golden_ = one;
      }
    }
  }
  void SetUp() override { ASSERT_FALSE(golden_.empty()) << "not in golden/methods.json"; }

  json golden_;
};

TEST_P(Method, TrainsAsPyTorchDoes) {
  Trial trial(golden_);
  for (int64_t step = 0; step < golden_["steps"].get<int64_t>(); ++step) {
    SCOPED_TRACE(step);
    const auto [loss, gradients] = trial.step(step);
    EXPECT_NEAR(loss, golden_["losses"][size_t(step)].get<double>(), 1e-11);
    if (step == 0) {
      EXPECT_TRUE(close(flat(gradients), golden_["gradients"], 1e-11));
    }
  }
  EXPECT_TRUE(close(flat(trial.trained()), golden_["weights"], 1e-10));
  std::vector<at::Tensor> teacher = trial.own(false);
  teacher.push_back(at::zeros({0}, at::kDouble));
  EXPECT_TRUE(close(flat(teacher), golden_["teacher"], 1e-10));
  for (const auto& [name, numbers] : golden_["state"].items()) {
    EXPECT_TRUE(close(trial.task->module().named_buffers()[name], numbers, 1e-10)) << name;
  }
}

TEST_P(Method, HessianProductsAreThoseOfPyTorchAndOfDifferences) {
  Trial trial(golden_);
  const TensorList product =
      test::hessian_product(trial.loss(0), trial.backbone->module().parameters());
  EXPECT_TRUE(close(flat(product), golden_["product"], 1e-9));
  // Differences move targets that a loss holds fixed; tests/reference/methods.py compares these.
  if (!trial.task->holds_targets_fixed()) {
    Trial other(golden_);
    test::expect_hessian_products(
        other.backbone->module().parameters(), [&] { return other.evaluated(0); }, 1e-5);
  }
}

/// Teacher, queue, centre and running statistics, by the guard that the host evaluates under.
TEST_P(Method, AHessianProductLeavesNoTrace) {
  Trial trial(golden_);
  trial.step(0);
  const TensorList before = copy(trial.everything());
  const TensorList first =
      test::hessian_product(trial.evaluated(1), trial.backbone->module().parameters());
  const TensorList after = trial.everything();
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(before[i].equal(after[i])) << "tensor " << i;
  }
  const TensorList again =
      test::hessian_product(trial.evaluated(1), trial.backbone->module().parameters());
  EXPECT_TRUE(flat(first).equal(flat(again)));
  // Training does move the state, so the comparison can fail.
  trial.loss(1);
  const auto state = golden_["state"].items();
  for (const auto& [name, numbers] : state) {
    const at::Tensor buffer = trial.task->module().named_buffers()[name];
    bool moved = false;
    for (size_t i = 0; i < before.size(); ++i) {
      moved = moved || (after[i].is_same(buffer) && !before[i].equal(buffer));
    }
    EXPECT_TRUE(moved) << name;
  }
}

TEST_P(Method, AnotherInstanceContinuesWithTheSameBits) {
  Trial whole(golden_);
  whole.step(0);
  whole.step(1);
  Trial resumed(golden_);
  const TensorList state = whole.everything();
  TensorList copies = resumed.everything();
  {
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < state.size(); ++i) {
      copies[i].copy_(state[i]);
    }
  }
  EXPECT_EQ(whole.step(2).first, resumed.step(2).first);
  for (size_t i = 0; i < state.size(); ++i) {
    EXPECT_TRUE(state[i].equal(copies[i])) << "tensor " << i;
  }
}

TEST_P(Method, SaysWhatItIs) {
  const Trial trial(golden_);
  std::string coupling = to_string(trial.task->coupling());
  const std::map<std::string, BatchCoupling> kinds = {
      {"separable", BatchCoupling::separable},
      {"batch_statistics", BatchCoupling::batch_statistics},
      {"gathered", BatchCoupling::gathered}};
  EXPECT_EQ(trial.task->coupling(), kinds.at(golden_["coupling"])) << coupling;
  EXPECT_EQ(trial.task->holds_targets_fixed(), golden_["fixed_targets"].get<bool>());
  EXPECT_EQ(trial.task->views(), int64_t(view_shapes(golden_).size()));
  const auto& library = test::shared_library(golden_["library"]);
  EXPECT_FALSE(library.component(golden_["name"].get<std::string>()).text.source.empty());
  EXPECT_EQ(library.findings(golden_["name"].get<std::string>(), {}), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(Each, Method,
                         ::testing::Values("barlow-twins", "dcl", "dclw", "dino", "i-jepa",
                                           "inpainting", "jigsaw", "lejepa", "mae", "moco",
                                           "moco-v3", "msn", "nnclr", "relative-location", "ressl",
                                           "rotation", "sela", "simmim", "simmim-maps", "simsiam",
                                           "supcon", "tico", "vicreg", "vicregl", "w-mse"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

json golden_of(const std::string& name) {
  const json all = test::golden("methods.json");
  for (const json& one : all["methods"]) {
    if (one["key"] == name) {
      return one;
    }
  }
  return {};
}

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
      {"contrastive", "dcl", {{"temperature", 0.0}}},
      {"contrastive", "dclw", {{"sigma", 0.0}}},
      {"distillation", "dino", {{"prototypes", int64_t{1}}}},
      {"distillation", "dino", {{"momentum", 1.0}}},
      {"distillation", "dino", {{"centre_momentum", 1.0}}},
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
