#pragma once

#include <cstdint>
#include <optional>

namespace bissl::host {

class BisslParts;
struct StageContext;

/// A learning rate as a level of the stage chose it.
struct RateChoice {
  double factor = 1;  ///< on the optimizer's learning rate
  double rate = 0;    ///< the learning rate that this makes
  double momentum = 0;
};

/// Chooses the learning rate for `lower.lr_factor = "auto"`, or `upper.lr_factor`, by trial steps
/// from the present weights (best_step_length), of which each batch counts as a sample: the factor
/// is (1 − momentum) times the length of a first step that lowers the loss of other batches most.
/// Afterwards weights, buffers and LibTorch's random generator are as they were. Nothing where
/// best_step_length finds nothing. Throws Interrupted between two steps.
///
/// The lower level's steps are those on the pretext loss; there is no proximity term in them. The
/// upper level's are made with v = u, as if θ_P were where θ_D is: on 1 + γ times the gradient of
/// the downstream loss in θ_D and the head.
std::optional<RateChoice> choose_lower_rate(const StageContext& context, BisslParts& parts);
std::optional<RateChoice> choose_upper_rate(const StageContext& context, BisslParts& parts);

}  // namespace bissl::host
