#pragma once

#include "bissl/tensor_list.h"

#include <functional>

// Derivatives of layers up to the third, beside LibTorch's and beside differences.

namespace bissl::host {

using Layer = std::function<at::Tensor(const TensorList&)>;

/// Of `scalar` in `inputs`, zeros where it does not depend on one; with a graph for `more`.
TensorList gradients(const at::Tensor& scalar, const TensorList& inputs, bool more);

/// ‖a − b‖ / ‖b‖ over all tensors, or ‖a − b‖ where b is 0.
double relative_difference(const TensorList& a, const TensorList& b);

/// Both layers agree in value, gradient and second derivative of each input: 1e-10 in double
/// precision, 1e-5 in single. Ours has its second derivative with a graph and without, which are
/// computed in two ways.
void expect_equal(const Layer& ours, const Layer& theirs, const TensorList& inputs);

/// The same with third derivatives, which LibTorch 1.13 does not have for every layer.
void expect_equal_to_third(const Layer& ours, const Layer& theirs, const TensorList& inputs);

/// The second and third derivatives along directions are the central differences of those before.
void expect_true_derivatives(const Layer& layer, const TensorList& inputs);

}  // namespace bissl::host
