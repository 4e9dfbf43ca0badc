#pragma once

#include <cstdint>

namespace bissl::host {

class BisslParts;

/// λ as the stage chose it, with what it was chosen by.
struct LambdaChoice {
  double lambda = 0;
  double rate = 0;     ///< r: how far a lower step moves θ_P along −g, per unit of ‖g‖
  double factors = 0;  ///< the sum of the schedule's factors over all lower steps
  double momentum = 0;
};

/// The pull λ·r/(1 − momentum)·Σ lr_scale that a chosen λ has: θ_P closes 1 − e^(−1.5), about three
/// quarters, of a distance to a θ_D that does not move.
inline constexpr double chosen_pull = 1.5;

/// Chooses λ for `lambda = "auto"`: makes the first lower step with an optimizer of its own, at the
/// base learning rate, measures r = −⟨Δθ, g⟩/‖g‖² over the backbone, and puts all back: weights,
/// buffers, LibTorch's random generator. There is no proximity term in that step, since θ_P and θ_D
/// are still equal. r is the learning rate for plain SGD; for optimizers that scale gradients it is
/// what they make of them. Throws Error(ErrorKind::run) where the step does not descend.
LambdaChoice choose_lambda(BisslParts& parts);

}  // namespace bissl::host
