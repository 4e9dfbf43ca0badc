#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"

#include "base/exception_text.h"
#include "bilevel/optimizer_abilities.h"
#include "bissl/error.h"
#include "conformance/checker.h"
#include "conformance/samples.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <optional>
#include <set>
#include <string>

namespace bissl::host {
namespace {

/// ½·‖θ − target‖² over small_parameters, and an optimizer for it.
class Quadratic {
 public:
  explicit Quadratic(const Checker& checker) : parameters(small_parameters()) {
    for (const auto& entry : parameters) {
      targets_.push_back(normal_numbers(entry.tensor.sizes(), 51).to(at::kFloat) * 0.1);
    }
    optimizer = checker.make<Optimizer>({parameters});
  }

  double loss() const {
    const c10::NoGradGuard no_grad;
    double sum = 0;
    for (size_t i = 0; i < parameters.size(); ++i) {
      sum += 0.5 * (parameters[i].tensor - targets_[i]).square().sum().item<double>();
    }
    return sum;
  }

  void step(double lr_scale = 1.0) {
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].tensor.mutable_grad() = parameters[i].tensor.detach() - targets_[i];
    }
    optimizer->step(lr_scale);
  }

  TensorList values() const {
    TensorList values;
    for (const auto& entry : parameters) {
      values.push_back(entry.tensor.detach().clone());
    }
    return values;
  }

  void set(const TensorList& values) {
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < values.size(); ++i) {
      at::Tensor parameter = parameters[i].tensor;
      parameter.copy_(values[i]);
    }
  }

  NamedTensors parameters;
  std::shared_ptr<Optimizer> optimizer;

 private:
  TensorList targets_;
};

bool same(const TensorList& a, const TensorList& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!a[i].equal(b[i])) {
      return false;
    }
  }
  return true;
}

NamedTensors copy_of(const NamedTensors& state) {
  NamedTensors copies;
  for (const auto& [name, tensor] : state) {
    copies.emplace_back(name, tensor.clone());
  }
  return copies;
}

/// `what` says what is wrong with the state.
void require_refused(Optimizer& optimizer, const NamedTensors& state, const char* what) {
  try {
    optimizer.load_state(state);
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::input, "the error is not one of wrong input: {}",
            error.what());
    return;
  } catch (const std::exception& exception) {
    throw Violation(fmt::format(
        "a state with {} ends in \"{}\"; compare names and shapes first, as StateBuffers does "
        "(bissl/optimizer_state.h), and refuse it with fail_input",
        what, exception_text(exception)));
  }
  throw Violation(fmt::format("a state with {} was accepted", what));
}

template <class Ability>
bool has(const Checker& checker) {
  const Quadratic problem(checker);
  return capability<Ability>(*problem.optimizer) != nullptr;
}

void check_preconditioner(Checker& checker) {
  if (!has<OptimizerPreconditioner>(checker)) {
    return;
  }
  checker.check("the preconditioner has the gradients' shapes and changes nothing", [&] {
    Quadratic problem(checker);
    problem.step();
    const TensorList before = problem.values();
    TensorList gradients;
    for (const auto& entry : problem.parameters) {
      gradients.push_back(normal_numbers(entry.tensor.sizes(), 53).to(at::kFloat));
    }
    const c10::NoGradGuard no_grad;
    const TensorList factors = preconditioner_of(*problem.optimizer, gradients);
    require(factors.size() == gradients.size(), "{} factors for {} gradients", factors.size(),
            gradients.size());
    for (size_t i = 0; i < factors.size(); ++i) {
      require(factors[i].sizes() == gradients[i].sizes() && all_finite({factors[i]}),
              "factor {} has another shape, or is not finite", i);
    }
    require(same(problem.values(), before), "parameters moved");
  });
}

/// The weights after a step behind which the momentum was set to `value`; unset: to what it is.
TensorList after_step_with_momentum(const Checker& checker, std::optional<double> value) {
  Quadratic problem(checker);
  problem.step();
  auto& ability = *capability<OptimizerMomentumSetting>(*problem.optimizer);
  const double set = value.value_or(ability.momentum());
  ability.set_momentum(set);
  require(ability.momentum() == set, "set to {}, it says {}", set, ability.momentum());
  problem.step();
  return problem.values();
}

void check_momentum_setting(Checker& checker) {
  if (!has<OptimizerMomentumSetting>(checker)) {
    return;
  }
  checker.check("momentum is what it was set to", [&] {
    Quadratic untouched(checker);
    const double given = capability<OptimizerMomentumSetting>(*untouched.optimizer)->momentum();
    require(given >= 0 && given < 1, "momentum() is {}", given);
    untouched.step();
    untouched.step();
    require(same(untouched.values(), after_step_with_momentum(checker, std::nullopt)),
            "setting it to what it is changes the next step");
    const double other = given < 0.5 ? 0.75 : 0.25;
    require(!same(untouched.values(), after_step_with_momentum(checker, other)),
            "setting it to {} changes nothing in the next step", other);
  });
}

/// The weights after a step behind which the weight decay was set to `decay`; unset: to what it is.
TensorList after_step_with(const Checker& checker, std::optional<double> decay) {
  Quadratic problem(checker);
  problem.step();
  auto& ability = *capability<OptimizerWeightDecay>(*problem.optimizer);
  const double value = decay.value_or(ability.weight_decay());
  ability.set_weight_decay(value);
  require(ability.weight_decay() == value, "set to {}, it says {}", value, ability.weight_decay());
  problem.step();
  return problem.values();
}

void check_weight_decay(Checker& checker) {
  if (!has<OptimizerWeightDecay>(checker)) {
    return;
  }
  checker.check("weight decay is what it was set to", [&] {
    Quadratic untouched(checker);
    const double given = capability<OptimizerWeightDecay>(*untouched.optimizer)->weight_decay();
    require(std::isfinite(given) && given >= 0, "weight_decay() is {}", given);
    untouched.step();
    untouched.step();
    require(same(untouched.values(), after_step_with(checker, std::nullopt)),
            "setting it to what it is changes the next step");
    require(!same(untouched.values(), after_step_with(checker, given + 1)),
            "setting it to {} changes nothing in the next step", given + 1);
  });
}

}  // namespace

void check_optimizer(Checker& checker) {
  if (!checker.check("has a learning rate and a momentum within sense", [&] {
        const Quadratic problem(checker);
        const double lr = problem.optimizer->learning_rate();
        const double momentum = momentum_of(*problem.optimizer);
        require(std::isfinite(lr) && lr >= 0, "learning_rate() is {}", lr);
        require(momentum >= 0 && momentum < 1, "its momentum is {}", momentum);
      })) {
    return;
  }
  checker.check("descends on a quadratic", [&] {
    Quadratic problem(checker);
    const double before = problem.loss();
    for (int i = 0; i < 100; ++i) {
      problem.step();
    }
    const double after = problem.loss();
    require(std::isfinite(after) && after < before, "from {} to {} in 100 steps", before, after);
  });
  checker.check("a learning rate of zero moves nothing", [&] {
    Quadratic problem(checker);
    const TensorList before = problem.values();
    problem.step(0.0);
    require(same(problem.values(), before), "parameters moved");
  });
  checker.check("a parameter without gradient stays", [&] {
    Quadratic problem(checker);
    problem.step();
    const at::Tensor before = problem.parameters[1].tensor.detach().clone();
    problem.parameters[1].tensor.mutable_grad() = at::Tensor();
    const c10::NoGradGuard no_grad;
    problem.optimizer->step(1.0);
    require(problem.parameters[1].tensor.equal(before), "it moved");
  });
  checker.check("continues from its state with the same bits", [&] {
    Quadratic first(checker);
    for (int i = 0; i < 5; ++i) {
      first.step();
    }
    const NamedTensors state = copy_of(first.optimizer->state());
    std::set<std::string> names;
    for (const auto& [name, tensor] : state) {
      require(names.insert(name).second,
              "state() has two tensors called \"{}\"; give each a name of its own", name);
    }
    Quadratic second(checker);
    second.set(first.values());
    second.optimizer->load_state(state);
    for (int i = 0; i < 5; ++i) {
      first.step(0.5);
      second.step(0.5);
    }
    require(same(first.values(), second.values()),
            "a step depends on more than parameters, gradients and state()");
  });
  checker.check("a state that does not fit is refused as wrong input", [&] {
    const Quadratic problem(checker);
    NamedTensors state = copy_of(problem.optimizer->state());
    state.emplace_back("conformance/unknown", normal_numbers({2}, 52));
    if (state.size() > 1) {
      state.erase(state.begin());
    }
    require_refused(*problem.optimizer, state, "a missing or unknown part");
    NamedTensors doubled;
    for (const auto& [name, tensor] : problem.optimizer->state()) {
      doubled.emplace_back(name, at::stack({tensor, tensor}));
    }
    if (!doubled.empty()) {
      require_refused(*problem.optimizer, doubled, "tensors of other shapes");
    }
  });
  check_preconditioner(checker);
  check_momentum_setting(checker);
  check_weight_decay(checker);
}

}  // namespace bissl::host
