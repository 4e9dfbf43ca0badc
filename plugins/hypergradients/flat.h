#pragma once

#include "bissl/tensor_list.h"

namespace bissl {

// A list as one vector in double precision on the CPU, for dense algebra.

/// The number of elements of all tensors.
int64_t count(const TensorList& list);

/// (count(list)), double, on the CPU.
at::Tensor flatten(const TensorList& list);

/// `flat` in the shapes, types and on the devices of `like`.
TensorList unflatten(const at::Tensor& flat, const TensorList& like);

/// The unit vector of element `index` of all, in the shapes of `like`.
TensorList unit_vector(int64_t index, const TensorList& like);

}  // namespace bissl
