#include "bissl/optimizer.h"
#include "bissl/optimizer_abilities.h"

#include "base/exception_text.h"
#include "bilevel/optimizer_abilities.h"
#include "bissl/error.h"
#include "conformance/checker.h"
#include "conformance/optimizer_trial.h"
#include "conformance/samples.h"
#include "conformance/values_at_bounds.h"

#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <set>
#include <string>

namespace bissl::host {
namespace {

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

/// Two fresh instances: the one that is asked for its preconditioner steps as the other does.
void require_preconditioner_leaves_no_trace(const Checker& checker) {
  Quadratic asked(checker);
  Quadratic other(checker);
  for (int i = 0; i < 3; ++i) {
    const c10::NoGradGuard no_grad;
    const TensorList gradients = asked.gradients();
    const TensorList given = copy(gradients);
    const TensorList first = preconditioner_of(*asked.optimizer, given);
    require(same(given, gradients), "it changes the gradients that it is given; work on a copy");
    require(same(preconditioner_of(*asked.optimizer, given), first),
            "the factors differ at a second call with the same gradients");
    asked.step();
    other.step();
    require(same(asked.values(), other.values()),
            "after it was asked for, a step is another one: work on copies of the state, and count "
            "no step");
  }
}

/// What networks have at times: parameters that got no gradient, and gradients that are 0.
void require_preconditioner_of_any_gradients(const Checker& checker) {
  const c10::NoGradGuard no_grad;
  const Quadratic problem(checker);
  TensorList gradients = problem.gradients();
  gradients[0].zero_();
  gradients[1] = at::Tensor();
  const TensorList factors = preconditioner_of(*problem.optimizer, gradients);
  require(factors.size() == gradients.size(), "{} factors for {} gradients, one of them undefined",
          factors.size(), gradients.size());
  for (const size_t i : {size_t{0}, size_t{2}}) {
    require(factors[i].defined() && factors[i].sizes() == gradients[i].sizes(),
            "where another parameter has no gradient, factor {} has another shape than its "
            "gradient",
            i);
    require(all_finite({factors[i]}),
            "factor {} is not finite where gradients are 0, as those of units are that are off: a "
            "quotient needs a small constant, or take 0 there",
            i);
  }
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
    require_preconditioner_leaves_no_trace(checker);
    require_preconditioner_of_any_gradients(checker);
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

/// Where gradients are 0, weight decay alone acts: it draws weights to 0.
void require_decay_shrinks(const Checker& checker) {
  constexpr double small = 1e-3;
  Quadratic problem(checker);
  const double lr = problem.optimizer->learning_rate();
  if (!(lr > 0)) {
    return;
  }
  capability<OptimizerWeightDecay>(*problem.optimizer)->set_weight_decay(0.1);
  const TensorList before = problem.values();
  problem.step_without_gradients(std::min(1.0, small / lr));
  const TensorList after = problem.values();
  for (size_t i = 0; i < before.size(); ++i) {
    const double size = norm({before[i]});
    const double now = norm({after[i]});
    require(now <= size * (1 + 1e-6),
            "with a weight decay of 0.1 and gradients of 0, a step takes the norm of parameter {} "
            "from {} to {}: weight decay draws weights to 0. Is a sign wrong?",
            i, size, now);
  }
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
    require_decay_shrinks(checker);
  });
}

/// The others must move as if nothing was missing, at least somewhere in several steps.
void require_only_the_missing_stays(const Checker& checker) {
  Quadratic problem(checker);
  problem.step();
  const TensorList before = problem.values();
  for (int i = 0; i < 20; ++i) {
    problem.give_gradients();
    problem.parameters[1].tensor.mutable_grad() = at::Tensor();
    const c10::NoGradGuard no_grad;
    problem.optimizer->step(1.0);
  }
  const TensorList after = problem.values();
  require(after[1].equal(before[1]), "it moved");
  for (const size_t i : {size_t{0}, size_t{2}}) {
    require(!after[i].equal(before[i]),
            "where parameter 1 of 3 has no gradient, parameter {} stays as well: continue with the "
            "next one",
            i);
  }
}

/// After `before` steps, a new instance that has the state continues with the same bits.
void require_continues(const Checker& checker, int before) {
  constexpr int after = 30;
  Quadratic first(checker);
  for (int i = 0; i < before; ++i) {
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
  for (int i = 0; i < after; ++i) {
    first.step(0.5);
    second.step(0.5);
    require(same(first.values(), second.values()),
            "a step depends on more than parameters, gradients and state(): after {} steps, step "
            "{} of an instance that was given the state is another one",
            before, i + 1);
  }
}

/// Each part of a state missing, and each of another shape.
void require_each_part_wanted(const Checker& checker) {
  Quadratic problem(checker);
  problem.step();
  const NamedTensors state = copy_of(problem.optimizer->state());
  for (size_t i = 0; i < state.size(); ++i) {
    NamedTensors missing = copy_of(state);
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
    require_refused(*problem.optimizer, missing,
                    fmt::format("\"{}\" missing", state[i].name).c_str());
    NamedTensors doubled = copy_of(state);
    doubled[i].tensor = at::stack({state[i].tensor, state[i].tensor});
    require_refused(*problem.optimizer, doubled,
                    fmt::format("\"{}\" of another shape", state[i].name).c_str());
  }
}

}  // namespace

void check_optimizer(Checker& checker) {
  check_values_at_bounds(checker);
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
    require_only_the_missing_stays(checker);
  });
  check_optimizer_steps(checker);
  checker.check("continues from its state with the same bits", [&] {
    for (const int before : {0, 1, 6, 25}) {
      require_continues(checker, before);
    }
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
    require_each_part_wanted(checker);
  });
  check_preconditioner(checker);
  check_momentum_setting(checker);
  check_weight_decay(checker);
}

}  // namespace bissl::host
