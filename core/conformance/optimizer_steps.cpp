// What single steps of an optimizer do, and what it says of their length.

#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"

#include "bilevel/optimizer_abilities.h"
#include "conformance/checker.h"
#include "conformance/optimizer_trial.h"
#include "conformance/samples.h"

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace bissl::host {
namespace {

/// Parameters of each number of dimensions that layers have.
NamedTensors parameters_of_all_dimensions() {
  NamedTensors parameters = {{"filters", normal_numbers({3, 2, 3, 3}, 11)},
                             {"matrix", normal_numbers({4, 3}, 12)},
                             {"vector", normal_numbers({3}, 13)},
                             {"one", normal_numbers({1}, 14)},
                             {"scalar", normal_numbers({}, 15)}};
  for (auto& entry : parameters) {
    entry.tensor = entry.tensor.to(at::kFloat).requires_grad_();
  }
  return parameters;
}

void require_each_moves(const Checker& checker) {
  constexpr int steps = 20;
  Quadratic problem(checker, parameters_of_all_dimensions());
  const TensorList before = problem.values();
  for (int i = 0; i < steps; ++i) {
    const c10::NoGradGuard no_grad;
    problem.give_gradients();
    problem.optimizer->step(1.0);
    const bool still_off = !c10::GradMode::is_enabled();
    require(still_off, "step() switches gradient mode on; use a guard object");
  }
  for (size_t i = 0; i < before.size(); ++i) {
    const auto& [name, tensor] = problem.parameters[i];
    require(tensor.sizes() == before[i].sizes(), "step() changes the shape of \"{}\"", name);
    require(tensor.requires_grad() && tensor.is_leaf(),
            "after step() \"{}\" is no leaf that requires a gradient any more; change it in place, "
            "without gradients",
            name);
    require(all_finite({tensor}), "\"{}\" is not finite after {} steps", name, steps);
    require(!tensor.equal(before[i]),
            "\"{}\", of {} dimensions, has gradients that are not 0 and does not move in {} steps",
            name, before[i].dim(), steps);
  }
}

void require_gradients_kept(const Checker& checker) {
  Quadratic problem(checker);
  for (int i = 0; i < 3; ++i) {
    const TensorList expected = problem.gradients();
    problem.step();
    for (size_t p = 0; p < expected.size(); ++p) {
      const auto& [name, tensor] = problem.parameters[p];
      require(tensor.grad().defined() && tensor.grad().equal(expected[p]),
              "step() changes the gradient of \"{}\", which the host reports after it; work on a "
              "copy",
              name);
    }
  }
}

void require_finite(const Quadratic& problem, const std::string& when) {
  for (const auto& [name, tensor] : problem.parameters) {
    require(all_finite({tensor}), "\"{}\" is not finite after a step {}", name, when);
  }
  for (const auto& [name, tensor] : problem.optimizer->state()) {
    require(!tensor.is_floating_point() || all_finite({tensor}),
            "\"{}\" of the state is not finite after a step {}", name, when);
  }
}

/// As of layers that are off, and of weights that begin at 0.
void require_zeros_taken(const Checker& checker) {
  Quadratic without_gradients(checker);
  Quadratic at_zero(checker);
  at_zero.set(zeros_like(at_zero.values()));
  for (int i = 0; i < 3; ++i) {
    without_gradients.step_without_gradients();
    require_finite(without_gradients,
                   "with gradients that are 0: a quotient needs a small constant below");
    at_zero.step();
    require_finite(at_zero, "from weights that are 0: a quotient needs a small constant below");
  }
  for (const auto& [name, tensor] : at_zero.parameters) {
    require(norm({tensor}) > 0,
            "\"{}\" begins at 0, as biases do, has gradients that are not 0, and does not move: a "
            "factor that is its norm needs another value there",
            name);
  }
}

void require_base_rate(const Checker& checker) {
  Quadratic problem(checker);
  const double lr = problem.optimizer->learning_rate();
  for (const double lr_scale : {1.0, 0.5, 0.25}) {
    problem.step(lr_scale);
    const double now = problem.optimizer->learning_rate();
    require(now == lr,
            "learning_rate() was {} and is {} after a step at {} times that: it is the base rate, "
            "which the host multiplies with the schedule's factor",
            lr, now, lr_scale);
  }
}

/// The instance's choice with another value of a parameter, if the parameter takes it.
std::optional<ComponentChoice> with_value(const ComponentChoice& choice, const ParameterSpec& spec,
                                          double value) {
  if (spec.type != ValueType::floating || !spec.refusal(Value(value)).empty()) {
    return std::nullopt;
  }
  ComponentChoice other = choice;
  other.values[spec.name] = Value(value);
  const std::vector<Finding> findings = other.component->info.check(other.values);
  const bool refused = std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.severity == Finding::Severity::error;
  });
  return refused ? std::optional<ComponentChoice>() : std::optional<ComponentChoice>(other);
}

/// A choice with half the learning rate, if one parameter is that rate, and none else looks like
/// one.
std::optional<ComponentChoice> with_half_the_rate(const Checker& checker, double lr) {
  std::optional<ComponentChoice> found;
  int rates = 0;
  for (const ParameterSpec& spec : checker.choice().component->info.parameters) {
    const std::string& name = spec.name;
    const auto* value = std::get_if<double>(&checker.choice().values.at(name));
    if (name.find("lr") == std::string::npos && name.find("rate") == std::string::npos) {
      continue;
    }
    ++rates;
    const std::optional<ComponentChoice> half = value != nullptr && *value > 0
                                                    ? with_value(checker.choice(), spec, *value / 2)
                                                    : std::optional<ComponentChoice>();
    if (!half) {
      continue;
    }
    const double now = Quadratic(*half).optimizer->learning_rate();
    require(now != lr || (name != "lr" && name != "learning_rate"),
            "learning_rate() is {} with {} = {} and with {}", lr, name, *value, *value / 2);
    if (now == lr / 2) {
      found = half;
    }
  }
  return rates == 1 ? found : std::optional<ComponentChoice>();
}

/// Where three steps at a factor lead to.
TensorList moves_of(Quadratic problem, double lr_scale) {
  if (auto* decay = capability<OptimizerWeightDecay>(*problem.optimizer)) {
    decay->set_weight_decay(0.1);
  }
  TensorList moves = problem.values();
  scale(moves, -1.0);
  for (int i = 0; i < 3; ++i) {
    problem.step(lr_scale);
  }
  add_scaled(moves, 1.0, problem.values());
  return moves;
}

/// Half the rate is half the factor.
void require_factor_of_the_rate(const Checker& checker) {
  const Quadratic problem(checker);
  const double lr = problem.optimizer->learning_rate();
  const std::optional<ComponentChoice> half =
      lr > 0 ? with_half_the_rate(checker, lr) : std::optional<ComponentChoice>();
  if (!half) {
    return;
  }
  const TensorList expected = moves_of(Quadratic(*half), 1.0);
  TensorList difference = moves_of(Quadratic(checker), 0.5);
  add_scaled(difference, -1.0, expected);
  require(norm(difference) <= 0.02 * norm(expected) + 1e-6 * norm(problem.values()),
          "steps with lr_scale = 0.5 differ by {:.2g} of their length from those with half the "
          "learning rate and lr_scale = 1: a step takes the rate learning_rate() * lr_scale, once, "
          "weight decay included",
          norm(difference) / norm(expected));
}

/// How far a step with these gradients, or with none but 0, moves the parameters.
TensorList move_of_step(Quadratic& problem, bool with_gradients) {
  TensorList move = problem.values();
  scale(move, -1.0);
  if (with_gradients) {
    problem.step();
  } else {
    problem.step_without_gradients();
  }
  add_scaled(move, 1.0, problem.values());
  return move;
}

bool has_decay_of_its_own(const Checker& checker, Optimizer& optimizer) {
  const auto& specs = checker.choice().component->info.parameters;
  return capability<OptimizerWeightDecay>(optimizer) == nullptr &&
         std::any_of(specs.begin(), specs.end(), [](const ParameterSpec& spec) {
           return spec.name.find("decay") != std::string::npos;
         });
}

/// Once gradients are 0, each step of the heavy-ball kind is the last one times the momentum, from
/// the second such step on (Nesterov's first one is longer).
void require_momentum_of_steps(const Checker& checker) {
  Quadratic problem(checker);
  if (capability<OptimizerMomentum>(*problem.optimizer) == nullptr) {
    throw NotApplicable("it is not of the heavy-ball kind");
  }
  if (has_decay_of_its_own(checker, *problem.optimizer)) {
    throw NotApplicable("its weight decay cannot be switched off");
  }
  if (auto* decay = capability<OptimizerWeightDecay>(*problem.optimizer)) {
    decay->set_weight_decay(0);
  }
  const double momentum = momentum_of(*problem.optimizer);
  const double size = norm(problem.values());
  move_of_step(problem, true);
  const TensorList before = move_of_step(problem, false);
  TensorList difference = move_of_step(problem, false);
  const double share =
      norm(difference) / std::max(norm(before), std::numeric_limits<double>::min());
  add_scaled(difference, -momentum, before);
  const bool keeps_some = norm(before) > 0 || momentum < 0.01;
  require(keeps_some && norm(difference) <= 0.02 * norm(before) + 1e-6 * size,
          "momentum() is {}, but once gradients are 0 a step is {:.3g} of the one before: what "
          "goes back through steps reckons with the wrong ones",
          momentum, share);
}

}  // namespace

void check_optimizer_steps(Checker& checker) {
  checker.check("each parameter moves, of any number of dimensions, and nothing else changes", [&] {
    require_each_moves(checker);
    require_gradients_kept(checker);
  });
  checker.check("weights and gradients that are 0 leave all finite",
                [&] { require_zeros_taken(checker); });
  checker.check("steps have the learning rate that it says, times the factor", [&] {
    require_base_rate(checker);
    require_factor_of_the_rate(checker);
  });
  checker.check("the momentum is that of its steps", [&] { require_momentum_of_steps(checker); });
}

}  // namespace bissl::host
