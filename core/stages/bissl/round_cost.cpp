#include "stages/bissl/round_cost.h"

#include "bissl/system_abilities.h"
#include "models/module_state.h"

#include <algorithm>

namespace bissl::host {

RoundCost round_cost(const BisslParts& parts, const HypergradientNeeds& needs) {
  const LowerOptions& lower = parts.lower_options;
  const int64_t upper_steps = parts.upper_options.steps;
  const int64_t parameters =
      count(tensors_of(trainable_parameters(parts.lower_backbone->module())));
  const int64_t kept =
      upper_steps * needs.solve.products + std::min(needs.shared.products, parameters);
  const bool recomputed = lower.hessian_graph == "recomputed";
  const int64_t graphs = recomputed ? kept : std::min<int64_t>(kept, 1);
  const int64_t through_steps = upper_steps * needs.steps.products * lower.accumulate;
  const int64_t shifted = upper_steps * needs.solve.gradients + needs.shared.gradients +
                          (needs.has_ability(LayerGradients::id) ? 1 : 0);
  const int64_t fresh = upper_steps * needs.fresh.products;  // a graph each
  // Recorded steps have the lower level's batch, which is taken as one of the Hessian's here.
  return {.products = kept * lower.hessian_batches + through_steps + fresh,
          .gradients =
              (shifted + graphs) * lower.hessian_batches + through_steps + fresh +
              upper_steps * (needs.steps.gradients * lower.accumulate + needs.fresh.gradients)};
}

}  // namespace bissl::host
