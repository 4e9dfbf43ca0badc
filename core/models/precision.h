#pragma once

#include "bissl/tensor_list.h"
#include "models/loss_scale.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

namespace bissl::host {

// What backbones compute in. Weights, their gradients and all that optimizers, losses, heads and
// metrics compute are in single precision; a pass of a backbone is under LibTorch's autocast, which
// has convolutions and matrix products in a type of 16 bits, and its outputs are in single
// precision again. The guards of backbones (models/guarded.h) send every pass through in_precision,
// which is the one place where autocast is switched on; backward passes run in the types of their
// graph.

enum class Precision { fp32, bf16, fp16 };

/// "fp32", "bf16" or "fp16", and back. Any other text is a fault of the caller: Error(run).
const char* to_string(Precision precision);
Precision precision_named(const std::string& text);

/// While it lives, passes of this thread are in a precision, and those that a hypergradient is made
/// of in another one. Scopes nest, the innermost counts. Without any: single precision.
class PrecisionScope {
 public:
  explicit PrecisionScope(Precision passes, Precision hypergradients = Precision::fp32);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  friend Precision precision_of_passes();
  friend Precision precision_of_hypergradients();
  friend LossScale* loss_scale();

  Precision passes_;
  Precision hypergradients_;
  LossScale loss_scale_;
  PrecisionScope* outer_;
};

/// While it lives, passes are in the precision of hypergradients, as the scope around it has it. To
/// be put around whatever makes the graph of a product, of a shifted gradient or of u.
class HypergradientPrecision {
 public:
  HypergradientPrecision();

 private:
  PrecisionScope scope_;
};

Precision precision_of_passes();
Precision precision_of_hypergradients();

/// That of the passes of now: null but for fp16. It lives as long as the scope.
LossScale* loss_scale();

/// What `pass` gives, computed in the precision of now. `images` decide the device; for others than
/// those of single precision, as audits have them, the pass is made as it is. Leaves no cast of a
/// weight behind, so that a pass always sees the weights of now.
TensorList in_precision(const at::Tensor& images, const std::function<TensorList()>& pass);

}  // namespace bissl::host
