#include "models/guarded.h"

#include "bissl/backbone_abilities.h"
#include "bissl/downstream_abilities.h"
#include "bissl/error.h"
#include "bissl/optimizer_abilities.h"
#include "models/attribution.h"
#include "models/divided.h"
#include "models/memory_format.h"
#include "models/precision.h"
#include "models/vector_check.h"
#include "plugins/guard.h"

#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bissl::host {
namespace {

/// The guard of an ability whose passes are a backbone's.
template <class AbilityOf>
class GuardedPasses : public GuardedAbility<AbilityOf> {
 public:
  using GuardedAbility<AbilityOf>::GuardedAbility;

 protected:
  /// As in_parts() wants it.
  auto backbone() const {
    return [this]() -> torch::nn::Module& {
      return this->call("module", [this](AbilityOf&) -> torch::nn::Module& {
        return static_cast<Backbone&>(this->component()).module();
      });
    };
  }
};

class GuardedFeatureMaps final : public GuardedPasses<FeatureMaps> {
 public:
  using GuardedPasses::GuardedPasses;
  std::vector<Level> map_levels() const override {
    return call("map_levels", [](FeatureMaps& inner) { return inner.map_levels(); });
  }
  TensorList maps(const at::Tensor& images) override {
    return in_parts(images.size(0), backbone(), [&](const BatchPart& part) {
      return in_precision(images, [&] {
        return call("maps", [&](FeatureMaps& inner) {
          return inner.maps(in_memory_format(part.of(images)));
        });
      });
    });
  }
};

class GuardedTokens final : public GuardedPasses<Tokens> {
 public:
  using GuardedPasses::GuardedPasses;
  Patch patch() const override {
    return call("patch", [](Tokens& inner) { return inner.patch(); });
  }
  int64_t token_width() const override {
    return call("token_width", [](Tokens& inner) { return inner.token_width(); });
  }
  int64_t extra_tokens() const override {
    return call("extra_tokens", [](Tokens& inner) { return inner.extra_tokens(); });
  }
  at::Tensor tokens(const at::Tensor& images, const PatchSelection& selection) override {
    return in_parts(images.size(0), backbone(), [&](const BatchPart& part) -> TensorList {
      const PatchSelection selected{.kept = part.of(selection.kept),
                                    .masked = part.of(selection.masked),
                                    .mask_token = selection.mask_token};
      return in_precision(images, [&]() -> TensorList {
        return {call("tokens", [&](Tokens& inner) {
          return inner.tokens(in_memory_format(part.of(images)), selected);
        })};
      });
    })[0];
  }
};

class GuardedLayerDepths final : public GuardedAbility<LayerDepths> {
 public:
  using GuardedAbility::GuardedAbility;
  int64_t depths() const override {
    return call("depths", [](LayerDepths& inner) { return inner.depths(); });
  }
  int64_t depth_of(std::string_view parameter) const override {
    return call("depth_of", [&](LayerDepths& inner) { return inner.depth_of(parameter); });
  }
};

class GuardedBackbone
    : public Guarded<Backbone, GuardedFeatureMaps, GuardedTokens, GuardedLayerDepths> {
 public:
  using Guarded::Guarded;
  at::Tensor forward(const at::Tensor& images) override {
    const auto own = [this]() -> torch::nn::Module& { return module(); };
    return in_parts(images.size(0), own, [&](const BatchPart& part) -> TensorList {
      return in_precision(images, [&]() -> TensorList {
        return {call("forward", [&](Backbone& inner) {
          return inner.forward(in_memory_format(part.of(images)));
        })};
      });
    })[0];
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
  BatchCoupling coupling() const override {
    return call("coupling", [](Pretext& inner) { return inner.coupling(); });
  }
  bool reads_geometry() const override {
    return call("reads_geometry", [](Pretext& inner) { return inner.reads_geometry(); });
  }
  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    return call("loss", [&](Pretext& inner) { return inner.loss(backbone, batch); });
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
  void* capability(std::string_view id) override { return inner_->capability(id); }
  void add(const at::Tensor& outputs, const TargetBatch& targets) override {
    const c10::NoGradGuard no_grad;
    call_component(choice_, "metrics (add)", [&] { inner_->add(outputs, targets); });
  }
  Metrics result() const override {
    Metrics metrics = call_component(choice_, "metrics (result)", [&] { return inner_->result(); });
    const bool declared = std::equal(
        metrics.begin(), metrics.end(), info_.begin(), info_.end(),
        [](const auto& metric, const MetricInfo& info) { return metric.name == info.name; });
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

class GuardedMapHead final : public GuardedAbility<MapHead> {
 public:
  using GuardedAbility::GuardedAbility;
  at::Tensor forward_maps(const TensorList& maps, const ImageShape& images) override {
    return call("forward_maps", [&](MapHead& inner) { return inner.forward_maps(maps, images); });
  }
};

class GuardedTokenHead final : public GuardedAbility<TokenHead> {
 public:
  using GuardedAbility::GuardedAbility;
  at::Tensor forward_tokens(const at::Tensor& tokens, const ImageShape& images) override {
    return call("forward_tokens",
                [&](TokenHead& inner) { return inner.forward_tokens(tokens, images); });
  }
};

class GuardedLossCoupling final : public GuardedAbility<LossCoupling> {
 public:
  using GuardedAbility::GuardedAbility;
  BatchCoupling coupling() const override {
    return call("coupling", [](LossCoupling& inner) { return inner.coupling(); });
  }
};

class GuardedDownstream
    : public Guarded<Downstream, GuardedMapHead, GuardedTokenHead, GuardedLossCoupling> {
 public:
  using Guarded::Guarded;
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
        choice(), metric_info(),
        call("metrics", [](Downstream& inner) { return inner.metrics(); }));
  }
  torch::nn::Module& module() override {
    return call("module", [](Downstream& inner) -> torch::nn::Module& { return inner.module(); });
  }
};

class GuardedHypergradientState final : public GuardedAbility<HypergradientState> {
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
    return call("solve", [&](Hypergradient& inner) {
      HypergradientSolution solution = inner.solve(u, system);
      require_like("v", solution.v, u);
      return solution;
    });
  }
  HypergradientNeeds needs() const override {
    return call("needs", [](Hypergradient& inner) { return inner.needs(); });
  }
};

class GuardedMomentum final : public GuardedAbility<OptimizerMomentum> {
 public:
  using GuardedAbility::GuardedAbility;
  double momentum() const override {
    return call("momentum", [](OptimizerMomentum& inner) { return inner.momentum(); });
  }
};

class GuardedMomentumSetting final : public GuardedAbility<OptimizerMomentumSetting> {
 public:
  using GuardedAbility::GuardedAbility;
  double momentum() const override {
    return call("momentum", [](OptimizerMomentumSetting& inner) { return inner.momentum(); });
  }
  void set_momentum(double value) override {
    call("set_momentum", [&](OptimizerMomentumSetting& inner) { inner.set_momentum(value); });
  }
};

class GuardedPreconditioner final : public GuardedAbility<OptimizerPreconditioner> {
 public:
  using GuardedAbility::GuardedAbility;
  TensorList preconditioner(const TensorList& gradients) const override {
    const c10::NoGradGuard no_grad;
    return call("preconditioner",
                [&](OptimizerPreconditioner& inner) { return inner.preconditioner(gradients); });
  }
};

class GuardedWeightDecay final : public GuardedAbility<OptimizerWeightDecay> {
 public:
  using GuardedAbility::GuardedAbility;
  double weight_decay() const override {
    return call("weight_decay", [](OptimizerWeightDecay& inner) { return inner.weight_decay(); });
  }
  void set_weight_decay(double value) override {
    call("set_weight_decay", [&](OptimizerWeightDecay& inner) { inner.set_weight_decay(value); });
  }
};

class GuardedOptimizer : public Guarded<Optimizer, GuardedMomentum, GuardedMomentumSetting,
                                        GuardedPreconditioner, GuardedWeightDecay> {
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
  const auto* guarded = dynamic_cast<const Guard*>(&component);
  return guarded == nullptr ? to_string(KindOf<Interface>::kind) : guarded->choice().describe();
}

}  // namespace

std::string describe(const Backbone& backbone) { return describe_guarded(backbone); }
std::string describe(const Pretext& pretext) { return describe_guarded(pretext); }
std::string describe(const Downstream& downstream) { return describe_guarded(downstream); }

std::shared_ptr<Backbone> create_guarded(const ComponentChoice& choice,
                                         const BackboneContext& context) {
  return make_guard<GuardedBackbone, Backbone>(choice, context);
}

std::shared_ptr<Pretext> create_guarded(const ComponentChoice& choice,
                                        const PretextContext& context) {
  return make_guard<GuardedPretext, Pretext>(choice, context);
}

std::shared_ptr<Downstream> create_guarded(const ComponentChoice& choice,
                                           const DownstreamContext& context) {
  return make_guard<GuardedDownstream, Downstream>(choice, context);
}

std::shared_ptr<Hypergradient> create_guarded(const ComponentChoice& choice,
                                              const HypergradientContext& context) {
  return make_guard<GuardedHypergradient, Hypergradient>(choice, context);
}

std::shared_ptr<Optimizer> create_guarded(const ComponentChoice& choice,
                                          const OptimizerContext& context) {
  return make_guard<GuardedOptimizer, Optimizer>(choice, context);
}

}  // namespace bissl::host
