#include "models/guarded.h"

#include "bissl/error.h"
#include "models/attribution.h"

#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

#include <algorithm>

#include <optional>
#include <string_view>
#include <tuple>

namespace bissl {
namespace {

/// The abilities of a component that the host knows, each by its guard; those that the host does
/// not know are passed on as they are. A guard is made of the choice and the inner ability, and
/// has the interface `Ability`.
template <class... Guards>
class GuardedAbilities {
 public:
  GuardedAbilities(const ComponentChoice& choice, Component& inner)
      : choice_(choice), inner_(inner) {
    (make<Guards>(), ...);
  }

  void* find(std::string_view id) {
    void* found = nullptr;
    const bool known =
        ((id == Guards::Ability::id ? (found = guard<Guards>(), true) : false) || ...);
    return known ? found : ask(id);
  }

 private:
  void* ask(std::string_view id) const {
    return call_component(choice_, "capability", [&] { return inner_.capability(id); });
  }
  template <class Guard>
  void make() {
    using Ability = typename Guard::Ability;
    if (auto* ability = static_cast<Ability*>(ask(Ability::id))) {
      std::get<std::optional<Guard>>(guards_).emplace(choice_, *ability);
    }
  }
  template <class Guard>
  void* guard() {
    auto& held = std::get<std::optional<Guard>>(guards_);
    return held ? static_cast<typename Guard::Ability*>(&*held) : nullptr;
  }

  const ComponentChoice& choice_;
  Component& inner_;
  std::tuple<std::optional<Guards>...> guards_;
};

/// What guards of abilities have in common.
template <class AbilityOf>
class GuardedAbility : public AbilityOf {
 public:
  using Ability = AbilityOf;
  GuardedAbility(const ComponentChoice& choice, Ability& inner) : choice_(choice), inner_(inner) {}

 protected:
  template <class Function>
  decltype(auto) call(const char* method, Function&& function) const {
    return call_component(choice_, method, [&]() -> decltype(auto) { return function(inner_); });
  }

 private:
  const ComponentChoice& choice_;
  Ability& inner_;
};

/// What all of them have: the instance, where it comes from, and its abilities with their guards.
template <class Interface, class... AbilityGuards>
class Guarded : public Interface {
 public:
  Guarded(ComponentChoice choice, std::shared_ptr<Interface> inner)
      : choice_(std::move(choice)), inner_(std::move(inner)), abilities_(choice_, *inner_) {}

  void* capability(std::string_view id) override { return abilities_.find(id); }

  const ComponentChoice& choice() const { return choice_; }

 protected:
  template <class Function>
  decltype(auto) call(const char* method, Function&& function) const {
    return call_component(choice_, method, [&]() -> decltype(auto) { return function(*inner_); });
  }

 private:
  ComponentChoice choice_;
  std::shared_ptr<Interface> inner_;
  GuardedAbilities<AbilityGuards...> abilities_;
};

class GuardedBackbone : public Guarded<Backbone> {
 public:
  using Guarded::Guarded;
  at::Tensor forward(const at::Tensor& images) override {
    return call("forward", [&](Backbone& inner) { return inner.forward(images); });
  }
  int64_t features() const override {
    return call("features", [](Backbone& inner) { return inner.features(); });
  }
  torch::nn::Module& module() override {
    return call("module", [](Backbone& inner) -> torch::nn::Module& { return inner.module(); });
  }
};

class GuardedPretext : public Guarded<Pretext> {
 public:
  using Guarded::Guarded;
  int64_t views() const override {
    return call("views", [](Pretext& inner) { return inner.views(); });
  }
  bool couples_samples() const override {
    return call("couples_samples", [](Pretext& inner) { return inner.couples_samples(); });
  }
  at::Tensor loss(Backbone& backbone, const Views& views) override {
    return call("loss", [&](Pretext& inner) { return inner.loss(backbone, views); });
  }
  bool holds_targets_fixed() const override {
    return call("holds_targets_fixed", [](Pretext& inner) { return inner.holds_targets_fixed(); });
  }
  void before_step(const TrainingProgress& progress) override {
    const c10::NoGradGuard no_grad;
    call("before_step", [&](Pretext& inner) { inner.before_step(progress); });
  }
  void after_step(Backbone& backbone, const TrainingProgress& progress) override {
    const c10::NoGradGuard no_grad;
    call("after_step", [&](Pretext& inner) { inner.after_step(backbone, progress); });
  }
  torch::nn::Module& module() override {
    return call("module", [](Pretext& inner) -> torch::nn::Module& { return inner.module(); });
  }
};

class GuardedMetrics : public MetricAccumulator {
 public:
  GuardedMetrics(ComponentChoice choice, std::vector<MetricInfo> info,
                 std::unique_ptr<MetricAccumulator> inner)
      : choice_(std::move(choice)), info_(std::move(info)), inner_(std::move(inner)) {}
  void add(const at::Tensor& outputs, const TargetBatch& targets) override {
    const c10::NoGradGuard no_grad;
    call_component(choice_, "metrics (add)", [&] { inner_->add(outputs, targets); });
  }
  Metrics result() const override {
    Metrics metrics = call_component(choice_, "metrics (result)", [&] { return inner_->result(); });
    const bool declared = std::equal(
        metrics.begin(), metrics.end(), info_.begin(), info_.end(),
        [](const auto& metric, const MetricInfo& info) { return metric.first == info.name; });
    if (!declared) {
      fail_run("{} gives the metrics {}, but declares {} (metric_info)", choice_.describe(),
               names_of(metrics), names_of(info_));
    }
    return metrics;
  }

 private:
  static std::string names_of(const Metrics& metrics) {
    std::vector<std::string> names;
    for (const auto& [name, value] : metrics) {
      names.push_back(name);
    }
    return fmt::format("\"{}\"", fmt::join(names, "\", \""));
  }
  static std::string names_of(const std::vector<MetricInfo>& metrics) {
    std::vector<std::string> names;
    for (const MetricInfo& info : metrics) {
      names.push_back(info.name);
    }
    return fmt::format("\"{}\"", fmt::join(names, "\", \""));
  }

  ComponentChoice choice_;
  std::vector<MetricInfo> info_;
  std::unique_ptr<MetricAccumulator> inner_;
};

class GuardedDownstream : public Guarded<Downstream> {
 public:
  GuardedDownstream(ComponentChoice choice, std::shared_ptr<Downstream> inner)
      : Guarded(choice, std::move(inner)), choice_(std::move(choice)) {}
  at::Tensor forward(const at::Tensor& features) override {
    return call("forward", [&](Downstream& inner) { return inner.forward(features); });
  }
  at::Tensor loss(const at::Tensor& outputs, const TargetBatch& targets) override {
    return call("loss", [&](Downstream& inner) { return inner.loss(outputs, targets); });
  }
  std::vector<MetricInfo> metric_info() const override {
    return call("metric_info", [](Downstream& inner) { return inner.metric_info(); });
  }
  std::unique_ptr<MetricAccumulator> metrics() const override {
    return std::make_unique<GuardedMetrics>(
        choice_, metric_info(), call("metrics", [](Downstream& inner) { return inner.metrics(); }));
  }
  torch::nn::Module& module() override {
    return call("module", [](Downstream& inner) -> torch::nn::Module& { return inner.module(); });
  }

 private:
  ComponentChoice choice_;
};

class GuardedHypergradientState : public GuardedAbility<HypergradientState> {
 public:
  using GuardedAbility::GuardedAbility;
  NamedTensors state() const override {
    return call("state", [](HypergradientState& inner) { return inner.state(); });
  }
  void load_state(const NamedTensors& state) override {
    call("load_state", [&](HypergradientState& inner) { inner.load_state(state); });
  }
};

class GuardedHypergradient : public Guarded<Hypergradient, GuardedHypergradientState> {
 public:
  using Guarded::Guarded;
  HypergradientSolution solve(const TensorList& u, ImplicitSystem& system) override {
    const c10::NoGradGuard no_grad;
    return call("solve", [&](Hypergradient& inner) { return inner.solve(u, system); });
  }
  HypergradientNeeds needs() const override {
    return call("needs", [](Hypergradient& inner) { return inner.needs(); });
  }
};

class GuardedMomentum : public GuardedAbility<OptimizerMomentum> {
 public:
  using GuardedAbility::GuardedAbility;
  double momentum() const override {
    return call("momentum", [](OptimizerMomentum& inner) { return inner.momentum(); });
  }
};

class GuardedPreconditioner : public GuardedAbility<OptimizerPreconditioner> {
 public:
  using GuardedAbility::GuardedAbility;
  TensorList preconditioner(const TensorList& gradients) const override {
    const c10::NoGradGuard no_grad;
    return call("preconditioner",
                [&](OptimizerPreconditioner& inner) { return inner.preconditioner(gradients); });
  }
};

class GuardedOptimizer : public Guarded<Optimizer, GuardedMomentum, GuardedPreconditioner> {
 public:
  using Guarded::Guarded;
  void step(double lr_scale) override {
    const c10::NoGradGuard no_grad;
    call("step", [&](Optimizer& inner) { inner.step(lr_scale); });
  }
  double learning_rate() const override {
    return call("learning_rate", [](Optimizer& inner) { return inner.learning_rate(); });
  }
  NamedTensors state() const override {
    return call("state", [](Optimizer& inner) { return inner.state(); });
  }
  void load_state(const NamedTensors& state) override {
    call("load_state", [&](Optimizer& inner) { inner.load_state(state); });
  }
};

template <class Interface>
std::string describe_guarded(const Interface& component) {
  const auto* guarded = dynamic_cast<const Guarded<Interface>*>(&component);
  return guarded == nullptr ? to_string(KindOf<Interface>::kind) : guarded->choice().describe();
}

template <class Wrapper, class Interface>
std::shared_ptr<Interface> wrap(const ComponentChoice& choice,
                                const typename KindOf<Interface>::Context& context) {
  return std::make_shared<Wrapper>(choice, choice.create<Interface>(context));
}

}  // namespace

std::string describe(const Backbone& backbone) { return describe_guarded(backbone); }
std::string describe(const Pretext& pretext) { return describe_guarded(pretext); }
std::string describe(const Downstream& downstream) { return describe_guarded(downstream); }

std::shared_ptr<Backbone> create_guarded(const ComponentChoice& choice,
                                         const BackboneContext& context) {
  return wrap<GuardedBackbone, Backbone>(choice, context);
}

std::shared_ptr<Pretext> create_guarded(const ComponentChoice& choice,
                                        const PretextContext& context) {
  return wrap<GuardedPretext, Pretext>(choice, context);
}

std::shared_ptr<Downstream> create_guarded(const ComponentChoice& choice,
                                           const DownstreamContext& context) {
  return wrap<GuardedDownstream, Downstream>(choice, context);
}

std::shared_ptr<Hypergradient> create_guarded(const ComponentChoice& choice,
                                              const HypergradientContext& context) {
  return wrap<GuardedHypergradient, Hypergradient>(choice, context);
}

std::shared_ptr<Optimizer> create_guarded(const ComponentChoice& choice,
                                          const OptimizerContext& context) {
  return wrap<GuardedOptimizer, Optimizer>(choice, context);
}

}  // namespace bissl
