#pragma once

#include "data/catalog.h"
#include "models/module_state.h"
#include "pipeline/pipeline.h"
#include "stages/context.h"
#include "stages/match.h"
#include "store/stage_results.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

class StageTrial;

/// What a check found out about one stage.
struct StagePlan {
  std::string name;
  std::string kind;
  std::string from;
  std::string key;
  bool in_store = false;
  int64_t steps = 0;
  /// How often a gradient of a full batch is taken, counting lower, upper and head steps alike.
  int64_t gradients = 0;
  int64_t hessian_products = 0;
  int64_t graph_bytes = 0;  ///< of the graph that is kept for Hessian products
  TrainingCost cost;        ///< of the pretext task, but for its seconds
  double held_bytes = 0;    ///< of batches, features, … that a run holds beyond what is tried
  /// The highest resident memory of the trial before a part of it that measures memory forgot it.
  double peak_before = 0;
  double peak_memory = 0;  ///< of a process that computes the stage, estimated, bytes; 0: not known
  double seconds = 0;  ///< estimated from one gradient and one product on a full batch, each timed
  std::string networks;               ///< shapes, in words
  std::vector<std::string> warnings;  ///< settings that will hardly do what is wanted
  /// A product was needed and could not be made: another approximator may need none.
  bool lacks_second_derivatives = false;
  std::vector<std::string> errors;  ///< what the run would refuse, each with its place
  bool wrong_input =
      false;  ///< among the errors is one of kind input: not only components that fail

  HandedOn weights;                   ///< that a child of the stage loads
  std::vector<MetricResult> metrics;  ///< that it will be scored by; without values
};

/// How much of a stage is tried.
enum class TrialDepth {
  built,     ///< its networks are built and a few samples scored: what other stages want to know
  tried,     ///< and a batch goes through each of its steps
  measured,  ///< and that is timed
};

/// One thing that a stage is checked for before anything is trained. `look` throws Error for what
/// the run would refuse, and notes doubts in the plan.
struct StageCheck {
  const char* what;
  TrialDepth from;  ///< the least depth at which it is looked at
  std::function<void(StageTrial& trial)> look;
};

/// All of them, in their order: each may count on those before it. `bissl check`, `bissl run` and
/// `bissl sweep` go through this list.
const std::vector<StageCheck>& stage_checks();

/// Goes through the list for one stage; the first error ends it. `parent` is what the stage that it
/// continues hands on, null where there is none or it is not known; `budget` is what it trains
/// where it has a `match`. Key and store are left open.
StagePlan check_stage(const Pipeline& pipeline, const Stage& stage, const HandedOn* parent,
                      DataCatalog& data, const RunSettings& settings, TrialDepth depth,
                      std::optional<double> budget = std::nullopt);

/// What a stage that was checked is expected to take.
TrainingCost cost_in_plan(const StagePlan& plan);

struct CheckRequest {
  const Pipeline& pipeline;
  const RunSettings& settings;
  std::filesystem::path out;  ///< holds the store
  /// What is tried of stages that the store does not have; of the others, and only where one of
  /// these comes after them, that they can be built. Measured: all stages are.
  TrialDepth depth = TrialDepth::tried;
  std::shared_ptr<DatasetCache> datasets = std::make_shared<DatasetCache>();
};

/// Checks every stage of a pipeline, parents first. Writes nothing.
std::vector<StagePlan> check_pipeline(const CheckRequest& request);

/// λ · lr/(1 − momentum) · (number of lower steps): how far the proximity term draws the lower
/// backbone to the upper one over the stage. Far below 1 it stays where it is. The rate is the
/// optimizer's base rate, with the level's lr_factor; layer-wise scaling and schedules are not in
/// it.
double proximity_pull(double lambda, double learning_rate, double momentum, int64_t lower_steps);

}  // namespace bissl::host
