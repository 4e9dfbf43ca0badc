#include "bissl/hypergradient.h"

#include "bilevel/lower_level.h"
#include "bilevel/lower_trajectory.h"
#include "bilevel/pretext_problem.h"
#include "bissl/error.h"
#include "bissl/optimizer.h"
#include "bissl/system_abilities.h"
#include "conformance/checker.h"
#include "conformance/samples.h"
#include "conformance/surroundings.h"
#include "conformance/values_at_bounds.h"
#include "models/evaluation_guard.h"
#include "models/module_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>
#include <set>

namespace bissl::host {
namespace {

constexpr double lambda = 0.5;
constexpr int64_t samples = 8;

/// Plain gradient descent, to train the lower level with.
class Descent : public Optimizer {
 public:
  explicit Descent(NamedTensors parameters) : parameters_(std::move(parameters)) {}
  void step(double lr_scale) override {
    for (auto& entry : parameters_) {
      entry.tensor.add_(entry.tensor.grad(), -learning_rate() * lr_scale);
    }
  }
  double learning_rate() const override { return 0.05; }
  NamedTensors state() const override { return {}; }
  void load_state(const NamedTensors& /*state*/) override {}

 private:
  NamedTensors parameters_;
};

/// A lower level in double precision that has just made some training steps, and its Hessian.
class Trial {
 public:
  explicit Trial(int64_t lower_steps)
      : backbone_(sample_backbone()),
        anchor_(sample_backbone()),
        pretext_(sample_pretext()),
        optimizer_(lower_parameters(*backbone_, *pretext_)),
        trajectory_(*backbone_, *pretext_, std::max<int64_t>(1, lower_steps), lambda) {
    LowerLevel level(*backbone_, *pretext_, optimizer_, 0);
    level.tie_to(*anchor_, lambda);
    const auto record = [this](const TensorList& gradients, double clip) {
      trajectory_.with_gradients(optimizer_, gradients, 1.0, clip);
    };
    for (int64_t step = 0; step < std::max<int64_t>(3, lower_steps); ++step) {
      trajectory_.before_step(views(step), step);
      level.step(views(step), 1.0, {}, {.before_update = record});
    }
    const auto problem = this->problem(this_batch);
    u = normal_like(problem->parameters(), 61);
    TensorList columns;
    for (int64_t i = 0; i < count(u); ++i) {
      columns.push_back(flatten(problem->hessian_product(unit_vector(i, u))));
    }
    hessian_ = at::stack(columns, 1);
  }

  static constexpr int64_t this_batch = 99;
  static constexpr int64_t next_batch = 98;

  /// The system on a batch of that number, with that weight; hessian_ is that of this_batch.
  std::unique_ptr<PretextProblem> problem(int64_t batch = this_batch, double weight = lambda) {
    return std::make_unique<PretextProblem>(
        *backbone_, *pretext_, std::vector<Batch>{views(batch)},
        PretextProblem::Setting{.lambda = weight},
        PretextProblem::Training{.optimizer = &optimizer_,
                                 .trajectory = &trajectory_,
                                 .fresh = [](int64_t index) { return views(200 + index); }});
  }

  /// (I + H/(λ + δ))⁻¹·u.
  at::Tensor solution(double damping) const {
    const at::Tensor system =
        at::eye(hessian_.size(0), at::kDouble) + hessian_ / (lambda + damping);
    return at::linalg_solve(system, flatten(u));
  }

  /// ‖u − (I + H/(λ + δ))·v‖ / ‖u‖.
  double residual(const TensorList& v, double damping) const {
    const at::Tensor left = flatten(v);
    const at::Tensor right = flatten(u);
    return norm({right - left - hessian_.matmul(left) / (lambda + damping)}) / norm({right});
  }

  /// Everything that a solve must leave alone.
  TensorList state() const {
    TensorList all = copy(tensors_of(module_state(backbone_->module())));
    for (const at::Tensor& tensor : copy(tensors_of(module_state(pretext_->module())))) {
      all.push_back(tensor);
    }
    all.push_back(generator_state());
    return all;
  }

  TensorList u;

 private:
  static Views views(int64_t batch) {
    return normal_numbers(
               {2, samples, sample_input.channels, sample_input.height, sample_input.width},
               700 + static_cast<uint64_t>(batch))
        .unbind();
  }

  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Backbone> anchor_;
  std::shared_ptr<Pretext> pretext_;
  Descent optimizer_;
  LowerTrajectory trajectory_;
  at::Tensor hessian_;
};

/// A system that answers with NaN, as one near divergence may.
class BrokenSystem : public ImplicitSystem,
                     public SystemPreconditioner,
                     public RecordedSteps,
                     public FreshBatches,
                     public LayerGradients {
 public:
  explicit BrokenSystem(PretextProblem& whole) : whole_(whole), id_(next_system_id()) {}
  TensorList hessian_product(const TensorList& x) override { return broken(x); }
  TensorList gradient(const TensorList& /*shift*/) override { return broken(parameters()); }
  const TensorList& parameters() const override { return whole_.parameters(); }
  const std::vector<std::string>& parameter_names() const override {
    return whole_.parameter_names();
  }
  double weight() const override { return whole_.weight(); }
  uint64_t id() const override { return id_; }
  void* capability(std::string_view id) override {
    return provide<SystemPreconditioner, RecordedSteps, FreshBatches, LayerGradients>(*this, id);
  }
  TensorList preconditioner() override { return broken(parameters()); }
  std::vector<LowerStep> recorded_steps() override {
    std::vector<LowerStep> steps = whole_.recorded_steps();
    for (LowerStep& step : steps) {
      step.system = this;
    }
    return steps;
  }
  ImplicitSystem& fresh_system(int64_t /*index*/) override { return *this; }
  std::vector<LayerGradient> layer_gradients() override {
    std::vector<LayerGradient> layers = whole_.layer_gradients();
    for (LayerGradient& layer : layers) {
      layer.output_gradient = broken({layer.output_gradient})[0];
    }
    return layers;
  }

 private:
  static TensorList broken(const TensorList& like) {
    TensorList values = zeros_like(like);
    for (at::Tensor& value : values) {
      value.fill_(std::numeric_limits<double>::quiet_NaN());
    }
    return values;
  }
  PretextProblem& whole_;
  uint64_t id_;
};

/// One system after another at the same address, as a host may make them.
class ChangingSystem : public ImplicitSystem {
 public:
  explicit ChangingSystem(ImplicitSystem& first) : now_(&first) {}
  void change_to(ImplicitSystem& next) { now_ = &next; }

  TensorList hessian_product(const TensorList& x) override { return now_->hessian_product(x); }
  TensorList gradient(const TensorList& shift) override { return now_->gradient(shift); }
  const TensorList& parameters() const override { return now_->parameters(); }
  const std::vector<std::string>& parameter_names() const override {
    return now_->parameter_names();
  }
  double weight() const override { return now_->weight(); }
  uint64_t id() const override { return now_->id(); }
  void* capability(std::string_view id) override { return now_->capability(id); }

 private:
  ImplicitSystem* now_;
};

double relative_distance(const at::Tensor& x, const at::Tensor& y) {
  return norm({x - y}) / norm({y});
}

double cosine(const at::Tensor& x, const at::Tensor& y) {
  return dot({x}, {y}) / (norm({x}) * norm({y}));
}

void check_accuracy(const Trial& trial, const HypergradientSolution& solution) {
  const at::Tensor right = flatten(trial.u);
  const at::Tensor left = flatten(solution.v);
  if (const std::optional<double> damping = solution.damping) {
    require(std::isfinite(*damping) && *damping >= 0, "the solution's damping is {}", *damping);
    const at::Tensor expected = trial.solution(*damping);
    const double error = relative_distance(left, expected);
    const double error_of_u = relative_distance(right, expected);
    require(error <= 1.5 * error_of_u + 1e-6,
            "with δ = {} the error is {:.3g}, that of v = u, which costs nothing, {:.3g}", *damping,
            error, error_of_u);
  } else {
    const at::Tensor expected = trial.solution(10.0);
    require(cosine(left, expected) >= cosine(right, expected) - 0.1,
            "cosine {:.3g} to the solution with δ = 10, that of v = u is {:.3g}",
            cosine(left, expected), cosine(right, expected));
  }
}

/// `made`: the products of the system that the solve asked for. Those of recorded steps and of
/// fresh batches are made elsewhere. A residual is compared where a solve takes v for a solution:
/// until then it is a guide to the solver; that of differences of gradients is one of another
/// matrix.
void check_account(const Trial& trial, const HypergradientNeeds& needs,
                   const HypergradientSolution& solution, int64_t made) {
  if (needs.steps.products == 0 && needs.fresh.products == 0) {
    require(
        solution.hessian_products == made,
        "HypergradientSolution::hessian_products is {}, and the system made {}: the host logs it "
        "as the cost of a solve. HessianProducts counts them (bissl/linear_system.h)",
        solution.hessian_products, made);
  }
  const double told = solution.relative_residual;
  const bool taken =
      solution.status == SolveStatus::converged || solution.status == SolveStatus::direct;
  if (!taken || !solution.damping || !(told >= 0) || solution.gradients > 0) {
    return;
  }
  const double found = trial.residual(solution.v, *solution.damping);
  require(found <= 1.1 * told + 0.01,
          "the relative residual is said to be {:.3g}, but with δ = {} that of v is {:.3g}: "
          "‖u − (I + H/(w + δ))·v‖ / ‖u‖ is meant, or a negative number where it is not known",
          told, *solution.damping, found);
}

/// A new instance that continues from the state of `first`, if approximators of this kind have one.
std::shared_ptr<Hypergradient> continued(const Checker& checker, Hypergradient& first) {
  auto second = checker.make<Hypergradient>();
  if (const auto* from = capability<HypergradientState>(first)) {
    auto* to = capability<HypergradientState>(*second);
    require(to != nullptr, "one instance has the ability {}, another has not",
            HypergradientState::id);
    NamedTensors state;
    std::set<std::string> names;
    for (const auto& [name, tensor] : from->state()) {
      require(names.insert(name).second, "state() has two tensors called \"{}\"", name);
      state.emplace_back(name, tensor.clone());
    }
    to->load_state(state);
  }
  return second;
}

void check_state(const Checker& checker, Trial& trial) {
  const auto problem = trial.problem();
  const auto first = checker.make<Hypergradient>();
  first->solve(trial.u, *problem);
  const auto second = continued(checker, *first);
  const TensorList next = normal_like(trial.u, 63);
  const at::Tensor expected = flatten(first->solve(next, *problem).v);
  require(relative_distance(flatten(second->solve(next, *problem).v), expected) <= 1e-12,
          "an instance that was given the state of another continues differently");
}

bool same_cost(const SystemCost& a, const SystemCost& b) {
  return a.products == b.products && a.gradients == b.gradients;
}

bool same_needs(const HypergradientNeeds& a, const HypergradientNeeds& b) {
  return same_cost(a.solve, b.solve) && same_cost(a.shared, b.shared) &&
         same_cost(a.steps, b.steps) && same_cost(a.fresh, b.fresh) &&
         a.lower_steps == b.lower_steps && a.fresh_batches == b.fresh_batches &&
         a.abilities == b.abilities;
}

void require_steady_needs(const Checker& checker, const HypergradientNeeds& needs, Trial& trial) {
  const auto other = checker.make<Hypergradient>();
  require(same_needs(other->needs(), needs) && same_needs(other->needs(), needs),
          "needs() differs from call to call, or from instance to instance");
  other->solve(trial.u, *trial.problem());
  require(same_needs(other->needs(), needs), "needs() differs after a solve");
}

/// u and v are the caller's after a solve: other numbers there change nothing in the next one.
void check_memory(const Checker& checker, Trial& trial) {
  const auto problem = trial.problem();
  const auto first = checker.make<Hypergradient>();
  TensorList u = copy(trial.u);
  HypergradientSolution solution = first->solve(u, *problem);
  const auto second = continued(checker, *first);
  for (TensorList* list : {&u, &solution.v}) {
    for (at::Tensor& tensor : *list) {
      tensor.fill_(1e3);
    }
  }
  const TensorList next = normal_like(trial.u, 63);
  const at::Tensor expected = flatten(second->solve(next, *problem).v);
  require(relative_distance(flatten(first->solve(next, *problem).v), expected) <= 1e-12,
          "a solve changes when u or v of the last one, which belong to the caller, get other "
          "numbers: keep copies, copy(v)");
}

/// One state with a part more than its own.
void check_refusal(const Checker& checker, Trial& trial) {
  const auto first = checker.make<Hypergradient>();
  auto* ability = capability<HypergradientState>(*first);
  if (ability == nullptr) {
    return;
  }
  first->solve(trial.u, *trial.problem());
  NamedTensors state;
  for (const auto& [name, tensor] : ability->state()) {
    state.emplace_back(name, tensor.clone());
  }
  state.emplace_back("conformance/unknown", normal_numbers({2}, 64));
  const auto second = checker.make<Hypergradient>();
  try {
    capability<HypergradientState>(*second)->load_state(state);
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::input,
            "a state with an unknown part ends in \"{}\", which "
            "is not an error of wrong input; refuse it with fail_input",
            error.what());
    return;
  }
  throw Violation(
      "a state with an unknown part was accepted: compare the names, or a checkpoint of another "
      "approximator is taken for its own");
}

/// A solution of (I + H/(w + δ))·v = u is another one for another w.
void check_weight(const Checker& checker, const HypergradientNeeds& needs, Trial& trial) {
  constexpr double heavier = 50.0;
  if (!needs.abilities.empty() || needs.lower_steps > 0 || needs.fresh_batches > 0) {
    throw NotApplicable("it reads more of the lower level than products and gradients");
  }
  const HypergradientSolution light =
      checker.make<Hypergradient>()->solve(trial.u, *trial.problem());
  const HypergradientSolution heavy =
      checker.make<Hypergradient>()->solve(trial.u, *trial.problem(Trial::this_batch, heavier));
  const bool solved = light.damping && light.status != SolveStatus::diverged &&
                      heavy.status != SolveStatus::diverged;
  if (!solved || relative_distance(flatten(light.v), flatten(trial.u)) <= 1e-6) {
    throw NotApplicable("v is u here, or no solution of a system with a damping");
  }
  require(relative_distance(flatten(light.v), flatten(heavy.v)) > 1e-9,
          "v is the same for system.weight() = {} and {}, with δ = {}: the system is "
          "(I + H/(w + δ))·v = u with w = system.weight()",
          lambda, heavier, light.damping.value_or(0));
}

void check_next_system(const Checker& checker, Trial& trial) {
  const auto this_round = trial.problem();
  const auto next_round = trial.problem(Trial::next_batch);
  ChangingSystem system(*this_round);
  const auto first = checker.make<Hypergradient>();
  first->solve(trial.u, system);
  const auto fresh = continued(checker, *first);
  system.change_to(*next_round);
  const at::Tensor expected = flatten(fresh->solve(trial.u, system).v);
  require(relative_distance(flatten(first->solve(trial.u, system).v), expected) <= 1e-12,
          "after the first system it solves the next one differently than an instance that has "
          "seen that one alone: it keeps something of the first. What belongs to a system holds "
          "as long as system.id() stays the same; the address may be the same for both");
}

}  // namespace

void check_hypergradient(Checker& checker) {
  const c10::NoGradGuard no_grad;
  check_values_at_bounds(checker);
  HypergradientNeeds needs;
  std::unique_ptr<Trial> trial;
  if (!checker.check("tells what it needs", [&] {
        needs = checker.make<Hypergradient>()->needs();
        for (const SystemCost& cost : {needs.solve, needs.shared, needs.steps, needs.fresh}) {
          require(cost.products >= 0 && cost.gradients >= 0, "some numbers are negative");
        }
        require(needs.lower_steps >= 0 && needs.fresh_batches >= 0, "some numbers are negative");
        require(needs.fresh_batches > 0 || !needs.has_ability(FreshBatches::id),
                "it needs the ability {} and asks for no fresh batch", FreshBatches::id);
        trial = std::make_unique<Trial>(needs.lower_steps);
        require_abilities(needs, *trial->problem(), "the approximator");
      })) {
    return;
  }
  HypergradientSolution solution;
  const auto problem = trial->problem();
  const auto hypergradient = checker.make<Hypergradient>();
  const TensorList before_u = copy(trial->u);
  const TensorList before = trial->state();
  if (!checker.check("solves, with a finite vector like u, and leaves u alone", [&] {
        solution = hypergradient->solve(trial->u, *problem);
        const bool still_off = !c10::GradMode::is_enabled();
        c10::GradMode::set_enabled(false);
        require(still_off, "solve() leaves gradient mode on; use a guard object (AutoGradMode)");
        require(solution.v.size() == trial->u.size(), "v has {} tensors, u {}", solution.v.size(),
                trial->u.size());
        for (size_t i = 0; i < solution.v.size(); ++i) {
          require(solution.v[i].sizes() == trial->u[i].sizes() &&
                      solution.v[i].scalar_type() == trial->u[i].scalar_type(),
                  "tensor {} of v has another shape or type than u's", i);
          require(!solution.v[i].is_alias_of(trial->u[i]),
                  "v holds u's own memory: begin with copy(u)");
          require(!solution.v[i].requires_grad(),
                  "tensor {} of v requires a gradient: give it without its graph, by detach()", i);
          require(trial->u[i].equal(before_u[i]), "u changed");
        }
        require(all_finite(solution.v), "v is not finite");
      })) {
    return;
  }
  checker.check("leaves models, buffers and generator alone", [&] {
    const TensorList after = trial->state();
    for (size_t i = 0; i < after.size(); ++i) {
      require(after[i].equal(before[i]), "tensor {} of the state differs", i);
    }
    const auto other = checker.make<Hypergradient>();
    require_no_draws("solve()", Generators::all_but_torch,
                     [&] { other->solve(trial->u, *trial->problem()); });
  });
  checker.check("comes closer to the solution than u, or not much less close",
                [&] { check_accuracy(*trial, solution); });
  checker.check("asks for what it uses", [&] {
    require_steady_needs(checker, needs, *trial);
    const int64_t products =
        needs.solve.products + needs.shared.products + needs.steps.products + needs.fresh.products;
    require(solution.hessian_products <= products, "{} products were made, {} announced",
            solution.hessian_products, products);
    const int64_t gradients = needs.solve.gradients + needs.shared.gradients +
                              needs.steps.gradients + needs.fresh.gradients;
    require(solution.gradients <= gradients, "{} shifted gradients were made, {} announced",
            solution.gradients, gradients);
    require(problem->products() <= products, "{} products of the system, {} announced",
            problem->products(), products);
  });
  checker.check("tells the products that it made, and a residual that is that of v",
                [&] { check_account(*trial, needs, solution, problem->products()); });
  checker.check("twice u has twice the solution", [&] {
    TensorList twice = copy(trial->u);
    scale(twice, 2.0);
    const auto other = checker.make<Hypergradient>();
    const at::Tensor expected = flatten(solution.v) * 2;
    require(relative_distance(flatten(other->solve(twice, *trial->problem()).v), expected) <= 1e-3,
            "v is not homogeneous in u");
  });
  checker.check("zero has a finite solution", [&] {
    const auto other = checker.make<Hypergradient>();
    const HypergradientSolution zero = other->solve(zeros_like(trial->u), *trial->problem());
    require(all_finite(zero.v) && norm(zero.v) == 0, "v of u = 0 is not 0");
  });
  checker.check("a system that answers with NaN gives a finite vector", [&] {
    BrokenSystem broken(*problem);
    const auto other = checker.make<Hypergradient>();
    const HypergradientSolution rescue = other->solve(trial->u, broken);
    require(all_finite(rescue.v), "v is not finite: it would end up in the weights");
  });
  checker.check("keeps no memory of u or v, and refuses a state that is not its own", [&] {
    check_memory(checker, *trial);
    check_refusal(checker, *trial);
  });
  checker.check("the system's weight counts", [&] { check_weight(checker, needs, *trial); });
  checker.check("continues from its state", [&] { check_state(checker, *trial); });
  checker.check("solves the next system as a fresh instance with its state does",
                [&] { check_next_system(checker, *trial); });
}

}  // namespace bissl::host
