#pragma once

#include "bissl/tensor_list.h"

namespace bissl {

/// Gradients of a scalar, zero where it does not depend on a parameter.
TensorList gradients_of(const at::Tensor& loss, const TensorList& parameters);

/// Makes `gradients` the parameters' grad().
void assign_gradients(const NamedTensors& parameters, const TensorList& gradients);

/// Scales `gradients` down to the norm `limit` if theirs is larger; 0 leaves them alone. Returns
/// the norm before.
double clip_norm(TensorList& gradients, double limit);

}  // namespace bissl
