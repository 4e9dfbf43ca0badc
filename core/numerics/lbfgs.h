#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace bissl::host {

/// When lbfgs ends.
struct LbfgsSetting {
  int64_t iterations = 200;
  double tolerance = 1e-6;  ///< of the largest entry of the gradient, absolute
  int64_t memory = 10;      ///< pairs of differences that it keeps
};

/// Where it ended.
struct LbfgsResult {
  at::Tensor x;
  double value = 0;
  double gradient = 0;  ///< its largest entry
  int64_t iterations = 0;
  bool converged = false;  ///< whether `gradient` is within the tolerance
};

/// A function of a vector: returns its value and writes its gradient, a vector of the same length.
using SmoothFunction = std::function<double(const at::Tensor& x, at::Tensor& gradient)>;

/// A minimum of a smooth convex function of a double vector, by L-BFGS (Liu and Nocedal 1989) with
/// a line search by bisection for the weak Wolfe conditions (Lewis and Overton 2013). Ends early
/// where rounding lets no step descend any further. Deterministic; records no gradients.
LbfgsResult lbfgs(const SmoothFunction& function, at::Tensor start, const LbfgsSetting& setting);

}  // namespace bissl::host
