#pragma once

#include "bissl/tensor_list.h"

#include <cstdint>
#include <functional>
#include <optional>

namespace bissl::host {

/// A training step that can be tried on pairs of batches A and B.
struct StepTrial {
  TensorList weights;  ///< those that the step moves
  int64_t pairs = 1;
  /// Makes the step on A of a pair from the present weights, at `lr_scale` times the base rate. The
  /// optimizer has made none before.
  std::function<void(int64_t pair, double lr_scale)> step;
  /// The gradient on B of a pair at the present weights, with the same random numbers each time.
  std::function<TensorList(int64_t pair)> gradient;
};

/// The factor on the step's length that lowers the loss of batches B most, in the mean over the
/// pairs and to second order, when the step is made on batches A:
///
///     f = Σ −⟨g_B(θ), Δ⟩ / Σ ⟨g_B(θ + Δ) − g_B(θ), Δ⟩
///
/// with the step Δ. It is the learning rate of McCandlish et al. 2018 (arXiv 1812.06162, eq. 2.6),
/// ‖G‖²/(GᵀHG + tr(HΣ)/batch): A and B have different noise, so the denominator has that of A's
/// step, and the numerator none. The curvature is the secant over the step; so the steps are tried
/// again at f times the length until f is between 1/2 and 2, at most `most_tries` times.
///
/// Lengths stay below half of one at which a gradient is not finite. Puts the weights back. Nothing
/// where the steps on A do not lower the loss on B, and where the search leaves 2⁻¹⁰ … 2¹⁰ or ends
/// on a loss that falls ever more steeply.
std::optional<double> best_step_length(const StepTrial& trial);

inline constexpr int most_tries = 8;

}  // namespace bissl::host
