#pragma once

#include "bissl/tensor_list.h"

#include <ATen/core/Tensor.h>

namespace bissl {

/// The map x ↦ H·x for H = ∂²loss/∂parameters², exact, by a second backward pass (Pearlmutter,
/// "Fast exact multiplication by the Hessian", 1994).
///
/// The graph of the gradient is built once, in the constructor, and serves every product; it holds
/// the forward pass's activations as long as the object lives. Everything random in the loss is
/// therefore the same for all products.
class HessianOperator {
 public:
  /// `loss` is a scalar with a graph; `parameters` are leaves. A parameter that the loss does not
  /// reach has a zero row and column. Throws Error(ErrorKind::input) naming the operation when the
  /// gradient has no derivative.
  HessianOperator(const at::Tensor& loss, TensorList parameters);

  /// H·x, detached. `x` has the shapes of the parameters.
  TensorList product(const TensorList& x) const;

  /// ∇loss, detached.
  TensorList gradient() const;

 private:
  TensorList parameters_;
  TensorList gradients_;  ///< undefined where the loss does not reach the parameter
};

}  // namespace bissl
