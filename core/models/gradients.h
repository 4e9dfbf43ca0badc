#pragma once

#include "bissl/tensor_list.h"

namespace bissl::host {

/// Gives each tensor memory of its own, so that all may be changed in place. What autograd returns
/// may be expanded (the gradient of a sum), one tensor for two parameters (of a + b), or one of
/// `others`, the vectors that it was given.
void own_memory(TensorList& tensors, const TensorList& others = {});

/// Gradients of a scalar, each in memory of its own, zero where it does not depend on a parameter.
TensorList gradients_of(const at::Tensor& loss, const TensorList& parameters);

/// Adds lambda·(weights − anchor), the gradient of (λ/2)·‖weights − anchor‖², to `gradients`;
/// returns that term's value. What has no anchor, undefined or beyond the list's end, is left as it
/// is.
double add_pull(TensorList& gradients, const TensorList& weights, const TensorList& anchor,
                double lambda);

/// Makes `gradients` the parameters' grad().
void assign_gradients(const NamedTensors& parameters, const TensorList& gradients);

/// The factor that clipping to the norm `limit` puts on gradients of this norm:
/// limit/(norm + guard) where that is below 1, otherwise 1; 1 for a limit of 0.
double clip_factor(double norm, double limit, double guard = 0);

/// Scales `gradients` by it. Returns the norm before.
double clip_norm(TensorList& gradients, double limit, double guard = 0);

}  // namespace bissl::host
