#pragma once

#include "bissl/optimizer.h"
#include "plugins/component.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {

struct IdleOptions {
  double lr = 0;
  int64_t steps = 3;
  bool nesterov = false;
  std::string scope = "global";
  std::optional<double> clip;
};

/// An optimizer that leaves its parameters alone.
class Idle final : public Optimizer {
 public:
  explicit Idle(const IdleOptions& options) : lr_(options.lr) {}
  void step(double /*lr_scale*/) override {}
  double learning_rate() const override { return lr_; }
  NamedTensors state() const override { return {}; }
  void load_state(const NamedTensors& /*state*/) override {}

 private:
  double lr_;
};

inline Schema<IdleOptions> idle_schema() {
  Schema<IdleOptions> schema;
  schema.add("lr", &IdleOptions::lr, "learning rate").at_least(0.5).at_most(2).required();
  schema.add("steps", &IdleOptions::steps, "how many").at_least(1);
  schema.add("nesterov", &IdleOptions::nesterov, "look ahead");
  schema.add("scope", &IdleOptions::scope, "of what").choices({"global", "layer"});
  schema.add("clip", &IdleOptions::clip, "largest norm").more_than(0);
  schema.rule([](const IdleOptions& options, std::vector<Finding>& findings) {
    if (options.nesterov && options.steps == 1) {
      findings.push_back({Finding::Severity::error, "nesterov", "wants two steps"});
    }
  });
  return schema;
}

/// The registered optimizer "idle" of a library that does not exist.
inline std::shared_ptr<const RegisteredComponent> idle_component() {
  struct Collected final : Registrar {
    using Registrar::add;
    void add(ComponentInfo added) override { info = std::move(added); }
    ComponentInfo info;
  };
  Collected collected;
  collected.Registrar::add<Optimizer, Idle>(
      {.name = "idle", .summary = "does nothing", .source = ""}, idle_schema());
  return std::make_shared<RegisteredComponent>(RegisteredComponent{
      collected.info, {.path = "idle.so", .name = "idle", .version = "1", .license = "MIT"}});
}

}  // namespace bissl::host::test
