#pragma once

#include "bissl/error.h"
#include "bissl/tensor_list.h"

#include <ATen/core/Tensor.h>

namespace bissl::host {

/// What is thrown where a gradient cannot be differentiated again.
class MissingDerivative : public Error {
 public:
  using Error::Error;
};

/// The map x ↦ H·x for H = ∂²loss/∂parameters², exact, by a second backward pass (Pearlmutter,
/// "Fast exact multiplication by the Hessian", 1994).
///
/// The graph of the gradient is built once, in the constructor, and serves every product; it holds
/// the forward pass's activations as long as the object lives. Everything random in the loss is
/// therefore the same for all products.
class HessianOperator {
 public:
  /// `loss` is a scalar with a graph; `parameters` are leaves. A parameter that the loss does not
  /// reach has a zero row and column.
  HessianOperator(const at::Tensor& loss, TensorList parameters);

  /// H·x, detached. `x` has the shapes of the parameters. Throws MissingDerivative, of kind input
  /// and naming the operation, when the gradient has no derivative.
  TensorList product(const TensorList& x) const;

  /// ∇loss, detached.
  TensorList gradient() const;

 private:
  TensorList parameters_;
  bool divided_;          ///< the graph is one over several processes, see models/divided.h
  TensorList gradients_;  ///< undefined where the loss does not reach the parameter
};

}  // namespace bissl::host
