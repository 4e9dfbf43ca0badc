#pragma once

#include "bissl/backbone.h"
#include "bissl/image.h"
#include "bissl/parameters.h"
#include "bissl/pretext.h"
#include "bissl/tensor_list.h"
#include "method_backbones.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"
#include "networks.h"
#include "reference/golden.h"
#include "sdk/plugin_library.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/autograd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {

/// A parameter of tests/reference/golden/methods.json.
inline Value value_of(const nlohmann::json& entry) {
  if (entry.is_boolean()) {
    return entry.get<bool>();
  }
  if (entry.is_number_integer()) {
    return entry.get<int64_t>();
  }
  return entry.is_array() ? Value(entry.get<std::vector<int64_t>>()) : Value(entry.get<double>());
}

/// The shapes of all views of a method there.
inline std::vector<ImageShape> view_shapes(const nlohmann::json& golden) {
  std::vector<ImageShape> shapes;
  for (const auto& group : golden["views"]) {
    shapes.insert(shapes.end(), group[0].get<size_t>(), ImageShape{3, group[1], group[1]});
  }
  return shapes;
}

/// A task with its backbone in double precision, with the weights of tests/reference/methods.py.
class Trial {
 public:
  explicit Trial(const nlohmann::json& golden)
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
  const nlohmann::json& golden_;
};

/// A method there, by its key; null where there is none.
inline nlohmann::json golden_of(const std::string& name) {
  const nlohmann::json all = test::golden("methods.json");
  for (const nlohmann::json& one : all["methods"]) {
    if (one["key"] == name) {
      return one;
    }
  }
  return {};
}

}  // namespace bissl::host::test
