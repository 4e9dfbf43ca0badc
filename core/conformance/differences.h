#pragma once

#include "bissl/tensor_list.h"

#include <ATen/core/Tensor.h>

#include <functional>

namespace bissl::host {

/// A scalar loss with its graph, the same at each call but for the parameters.
using LossFunction = std::function<at::Tensor()>;

/// Compares the gradient of the loss along a direction with a central difference of the loss, in
/// double precision. Throws Violation where they differ by more than 1e-4 of their size.
void require_gradient(const LossFunction& loss, const TensorList& parameters);

/// Asks that H is finite, linear and symmetric: H(2x + 3y) = 2·Hx + 3·Hy, xᵀHy = yᵀHx. That holds
/// for every loss, also for one whose targets are held fixed (then H is that of the loss as a
/// function of the parameters with the targets as constants). Throws Violation.
void require_symmetric_hessian(const LossFunction& loss, const TensorList& parameters);

/// Compares H·x with a central difference of gradients along x. Throws Violation where they differ
/// by more than 1e-3 of their size, or where an operation cannot be differentiated again. The step
/// is so small that few kinks (of ReLUs, say) lie within it.
void require_second_derivative(const LossFunction& loss, const TensorList& parameters);

}  // namespace bissl::host
