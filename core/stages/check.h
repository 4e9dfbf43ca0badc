#pragma once

#include "pipeline/pipeline.h"
#include "stages/context.h"
#include "store/stage_store.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl {

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
  double seconds = 0;  ///< estimated from one gradient and one product on a full batch, each timed
  std::string networks;               ///< shapes, in words
  std::vector<std::string> warnings;  ///< settings that will hardly do what is wanted
  /// A product was needed and could not be made: another approximator may do without.
  bool lacks_second_derivatives = false;
  std::vector<std::string> errors;  ///< what made the pass through the stage fail
};

/// Samples of a trial pass.
inline constexpr int64_t probe_samples = 2;

/// Passes two samples through every stage of a pipeline without training: opens the data, builds
/// the networks, makes losses and gradients, and one Hessian product where the hypergradient
/// approximator needs it. With `measure`, times a full batch as well. Writes nothing.
std::vector<StagePlan> check_pipeline(const Pipeline& pipeline, const RunSettings& settings,
                                      const std::filesystem::path& out, bool measure);

/// The same for one stage. Key and store are left open; what does not fit is in `errors`.
StagePlan probe_stage(const Pipeline& pipeline, const Stage& stage, DataCatalog& data,
                      const RunSettings& settings, bool measure);

/// λ · lr/(1 − momentum) · (number of lower steps): how far the proximity term draws the lower
/// backbone to the upper one over the stage. Far below 1 it stays where it is. The rate is the
/// optimizer's base rate; layer-wise scaling and schedules are not in it.
double proximity_pull(double lambda, double learning_rate, double momentum, int64_t lower_steps);

}  // namespace bissl
