#include "bissl/downstream.h"

#include "conformance/checker.h"
#include "conformance/differences.h"
#include "conformance/samples.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/one_hot.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <map>

namespace bissl {
namespace {

constexpr int64_t samples = 12;
constexpr int64_t classes = 4;
constexpr int64_t features = 6;

at::Tensor targets() { return at::arange(samples, at::kLong).remainder(classes); }

std::map<std::string, double> metrics_of(const Downstream& downstream,
                                         const std::vector<at::Tensor>& outputs,
                                         const std::vector<at::Tensor>& wanted) {
  const c10::NoGradGuard no_grad;
  const auto metrics = downstream.metrics();
  require(metrics != nullptr, "metrics() gave nothing");
  for (size_t i = 0; i < outputs.size(); ++i) {
    metrics->add(outputs[i], wanted[i]);
  }
  const Metrics result = metrics->result();
  require(!result.empty(), "there are no metrics");
  std::map<std::string, double> by_name;
  for (const auto& [name, value] : result) {
    require(std::isfinite(value), "metric {} is {}", name, value);
    require(by_name.emplace(name, value).second, "there are two metrics {}", name);
  }
  return by_name;
}

/// Outputs (N, K) with the largest one where the target, moved by `shift`, says.
at::Tensor decided_outputs(int64_t shift) {
  return at::one_hot((targets() + shift).remainder(classes), classes).to(at::kFloat) * 10;
}

void check_hand_made_cases(Checker& checker, const Downstream& downstream,
                           const at::Tensor& outputs) {
  if (outputs.dim() != 2 || outputs.size(1) != classes) {
    checker.skip("metrics of right and wrong outputs", "outputs are not (N, classes)");
    return;
  }
  checker.check("metrics of right and wrong outputs", [&] {
    const auto right = metrics_of(downstream, {decided_outputs(0)}, {targets()});
    const auto wrong = metrics_of(downstream, {decided_outputs(1)}, {targets()});
    bool differ = false;
    for (const auto& [name, value] : right) {
      differ = differ || wrong.at(name) != value;
      if (name == "top1" || name == "accuracy") {
        require(value == 1.0, "{} of right outputs is {}", name, value);
        require(wrong.at(name) == 0.0, "{} of wrong outputs is {}", name, wrong.at(name));
      }
    }
    require(differ, "no metric tells right outputs from wrong ones");
  });
}

}  // namespace

void check_downstream(Checker& checker) {
  std::shared_ptr<Downstream> downstream;
  const at::Tensor inputs = normal_numbers({samples, features}, 41);
  at::Tensor outputs;
  if (!checker.check("is made for features and classes, and gives outputs", [&] {
        seed_generator(7);
        downstream = checker.make<Downstream>({.features = features, .classes = classes});
        convert_to_double(downstream->module());
        outputs = downstream->forward(inputs).detach();
        require(outputs.dim() >= 1 && outputs.size(0) == samples, "{} samples gave {} outputs",
                samples, outputs.dim() == 0 ? 0 : outputs.size(0));
        require(all_finite({outputs}), "some outputs are not finite");
      })) {
    return;
  }
  checker.check("the loss is a finite scalar", [&] {
    const at::Tensor loss = downstream->loss(outputs, targets());
    require(loss.numel() == 1, "the loss has {} elements", loss.numel());
    require(all_finite({loss}), "the loss is {}", loss.item<double>());
  });
  checker.check("the gradient is that of the loss, in the head and in the features", [&] {
    TensorList parameters = tensors_of(trainable_parameters(downstream->module()));
    parameters.push_back(inputs.clone().requires_grad_());
    const LossFunction loss = [&] {
      const EvaluationGuard guard({&downstream->module()}, 1);
      const c10::AutoGradMode grad(true);
      return downstream->loss(downstream->forward(parameters.back()), targets());
    };
    require_gradient(loss, parameters);
  });
  checker.check("metrics do not depend on how the data is cut into batches", [&] {
    const at::Tensor single = outputs.to(at::kFloat);
    const auto whole = metrics_of(*downstream, {single}, {targets()});
    const auto parts =
        metrics_of(*downstream, {single.narrow(0, 0, 5), single.narrow(0, 5, samples - 5)},
                   {targets().narrow(0, 0, 5), targets().narrow(0, 5, samples - 5)});
    for (const auto& [name, value] : whole) {
      require(parts.count(name) > 0, "metric {} is missing in parts", name);
      require(std::abs(parts.at(name) - value) <= 1e-5 * (1 + std::abs(value)),
              "{} is {} in one batch and {} in two", name, value, parts.at(name));
    }
  });
  check_hand_made_cases(checker, *downstream, outputs);
}

}  // namespace bissl
