#pragma once

namespace bissl::host {

class BisslParts;
struct StageContext;

/// The upper level's learning rate as the stage chose it.
struct RateChoice {
  double factor = 1;      ///< on the optimizer's learning rate
  double rate = 0;        ///< the learning rate that this makes
  double lower_step = 0;  ///< mean ‖Δθ_P‖ of a first lower step
  double upper_step = 0;  ///< mean ‖Δθ_D‖ of a first upper step at the optimizer's learning rate
};

/// How far θ_D is to go in the upper level's steps, as a multiple of how far θ_P goes in the lower
/// level's: the sums of the lengths of their steps.
inline constexpr double chosen_balance = 1;

/// Chooses the learning rate for `upper.lr_factor = "auto"`, so that
///
///     ‖Δθ_D‖/(1 − momentum) · Σ lr_scale  =  chosen_balance · the same of θ_P,
///
/// by a few first steps of each level from the present weights, with optimizers of their own: the
/// lower level's on the pretext loss alone, at its own rate; the upper level's with v = u, as if
/// θ_P were where θ_D is. Afterwards weights, buffers and LibTorch's random generator are as they
/// were. Throws Interrupted between two steps, and Error(ErrorKind::run) where a level does not
/// move the backbone.
RateChoice choose_upper_rate(const StageContext& context, BisslParts& parts);

}  // namespace bissl::host
