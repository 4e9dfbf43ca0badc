#pragma once

#include "bissl/tensor_list.h"
#include "models/diverged.h"
#include "stages/context.h"
#include "telemetry/events.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace torch::nn {
class Module;
}

namespace bissl {
class Optimizer;
class Hypergradient;
}  // namespace bissl

namespace bissl::host {

/// The loop around the steps of a stage: resuming, events, progress, checkpoints, interruption.
///
///     Session session(context, folder, "pretrain", steps, images);
///     session.keep("backbone", module); …
///     int64_t step = session.start();
///     session.run(step, steps, [&](int64_t number) -> Session::StepNews { … });
///     session.finish();
///
/// A checkpoint holds everything that was named with keep(), LibTorch's random generators and the
/// number of the next step, so that a stage that continues from it ends with the same bits. Where
/// losses are scaled (models/loss_scale.h), the scale begins with the session and is kept as well;
/// each event has what it is after the step, and whether that was left out.
class Session {
 public:
  /// Values of a step under their names.
  using Values = std::vector<std::pair<std::string, double>>;

  Session(const StageContext& context, std::filesystem::path folder, std::string label,
          int64_t steps, int64_t images_per_step);
  ~Session();

  /// Names parts of the state before start(). They must outlive the session.
  void keep(const std::string& name, torch::nn::Module& module);
  void keep(const std::string& name, Optimizer& optimizer);
  void keep(const std::string& name, Hypergradient& hypergradient);
  void keep_tensors(const std::string& name, std::function<NamedTensors()> save,
                    std::function<void(const NamedTensors&)> load);
  /// Any other state: `save` gives it, `load` takes it back, before modules, optimizers and tensors
  /// are loaded.
  void keep(const std::string& name, std::function<nlohmann::json()> save,
            std::function<void(const nlohmann::json&)> load);

  /// The step to begin with: 0, or where a checkpoint left off. Throws Error(run) where the
  /// processes of a group would begin with different ones.
  int64_t start();

  /// What a step reports: `values` are shown and logged, `event` is logged beside them, `shown` are
  /// shown behind the values and not logged.
  struct StepNews {
    Values values;
    nlohmann::json event;
    bool last = false;  ///< no further steps are made
    Values shown = {};
  };

  /// The training loop of all stages: makes the steps from number `step` up to `end`, each by
  /// `work`, until one says that it is the last. `step` is `end` afterwards.
  ///
  /// A divergence comes out with the number of the step; in the first one of a stage that continues
  /// another, whose weights the loss was taken of, it is that stage that is named. After each step
  /// a checkpoint is written when it is time; throws Interrupted, after writing one, when the user
  /// asked to stop.
  void run(int64_t& step, int64_t end, const std::function<StepNews(int64_t step)>& work);

  /// The stage is through: ends the progress display. The checkpoint stays until the store
  /// publishes the stage. Throws Error(run) if a module that is kept holds weights that are not
  /// finite, as run() does before it writes a checkpoint: neither is of use to anybody.
  void finish();

 private:
  struct Part {
    std::string name;
    std::function<NamedTensors()> save;
    std::function<void(const NamedTensors&)> load;
  };
  struct Extra {
    std::string name;
    std::function<nlohmann::json()> save;
    std::function<void(const nlohmann::json&)> load;
  };

  struct Module {
    std::string name;
    torch::nn::Module* module;
    std::set<std::string> exempt;  ///< buffers that were not finite before the first step
  };

  [[noreturn]] void diverged(int64_t step, const Diverged& error) const;
  void done(int64_t step, const StepNews& news);
  void save_checkpoint(int64_t next_step);
  void require_finite_weights(int64_t steps_done) const;

  std::filesystem::path folder_;
  int64_t steps_;
  std::string from_;  ///< the stage that this one continues; empty for none
  std::string label_;
  const RunSettings& settings_;
  std::vector<Part> parts_;
  std::vector<Module> modules_;
  std::vector<Extra> extras_;
  std::unique_ptr<EventLog> events_;
  std::unique_ptr<Progress> progress_;
  int64_t images_per_step_;
  std::chrono::steady_clock::time_point last_checkpoint_;
};

}  // namespace bissl::host
