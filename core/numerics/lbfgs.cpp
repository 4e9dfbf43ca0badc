#include "numerics/lbfgs.h"

#include <ATen/ops/dot.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

double inner_product(const at::Tensor& x, const at::Tensor& y) {
  return at::dot(x, y).item<double>();
}

double largest_entry(const at::Tensor& x) {
  return x.numel() == 0 ? 0.0 : x.abs().max().item<double>();
}

/// A point with the function's value and gradient there.
struct Point {
  at::Tensor x;
  at::Tensor gradient;
  double value = 0;
};

/// The differences of the last steps and of their gradients, as an inverse Hessian.
class InverseHessian {
 public:
  explicit InverseHessian(int64_t memory) : memory_(static_cast<size_t>(memory)) {}

  void add(const Point& before, const Point& after) {
    Pair pair{after.x.sub(before.x), after.gradient.sub(before.gradient), 0};
    pair.curvature = inner_product(pair.step, pair.change);
    // Without curvature, which rounding can take, a pair would make the matrix indefinite.
    constexpr double least = 1e-14;
    if (!(pair.curvature > least * inner_product(pair.change, pair.change))) {
      return;
    }
    pairs_.push_back(std::move(pair));
    if (pairs_.size() > memory_) {
      pairs_.pop_front();
    }
  }

  /// Its product with a vector, by two loops over the pairs.
  at::Tensor times(const at::Tensor& vector) const {
    at::Tensor result = vector.clone();
    std::vector<double> weights(pairs_.size());
    for (size_t i = pairs_.size(); i-- > 0;) {
      weights[i] = inner_product(pairs_[i].step, result) / pairs_[i].curvature;
      result.sub_(pairs_[i].change, weights[i]);
    }
    if (!pairs_.empty()) {
      const Pair& last = pairs_.back();
      result.mul_(last.curvature / inner_product(last.change, last.change));
    }
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const double along = inner_product(pairs_[i].change, result) / pairs_[i].curvature;
      result.add_(pairs_[i].step, weights[i] - along);
    }
    return result;
  }

  bool empty() const { return pairs_.empty(); }
  void clear() { pairs_.clear(); }

 private:
  struct Pair {
    at::Tensor step;
    at::Tensor change;
    double curvature = 0;
  };

  size_t memory_;
  std::deque<Pair> pairs_;
};

/// Moves `point` along `direction` to a point of less value and flatter slope; false where there is
/// none that the numbers can tell.
bool search(const SmoothFunction& function, Point& point, const at::Tensor& direction,
            double step) {
  constexpr double descent = 1e-4;
  constexpr double flattening = 0.9;
  constexpr int most_trials = 60;
  const double slope = inner_product(point.gradient, direction);
  double below = 0;
  double above = std::numeric_limits<double>::infinity();
  Point best;
  for (int trial = 0; trial < most_trials; ++trial) {
    Point next{point.x.add(direction, step), at::empty_like(point.gradient), 0};
    next.value = function(next.x, next.gradient);
    if (!(next.value <= point.value + descent * step * slope)) {
      above = step;
    } else {
      best = next;
      if (inner_product(next.gradient, direction) >= flattening * slope) {
        break;
      }
      below = step;
    }
    step = std::isinf(above) ? 2 * below : 0.5 * (below + above);
  }
  if (!best.x.defined() || !(best.value < point.value)) {
    return false;
  }
  point = std::move(best);
  return true;
}

}  // namespace

LbfgsResult lbfgs(const SmoothFunction& function, at::Tensor start, const LbfgsSetting& setting) {
  const c10::NoGradGuard no_grad;
  Point now{std::move(start), {}, 0};
  now.gradient = at::empty_like(now.x);
  now.value = function(now.x, now.gradient);
  InverseHessian inverse(setting.memory);
  LbfgsResult result;
  while (largest_entry(now.gradient) > setting.tolerance &&
         result.iterations < setting.iterations) {
    const Point before = now;
    const at::Tensor direction = inverse.times(now.gradient).neg_();
    // Without a scale yet, the first step is of length 1 at most.
    const double step =
        inverse.empty() ? std::min(1.0, 1.0 / std::sqrt(inner_product(direction, direction))) : 1.0;
    const bool descends = inner_product(direction, now.gradient) < 0;
    if (!descends || !search(function, now, direction, step)) {
      if (inverse.empty()) {
        break;
      }
      inverse.clear();  // once more along the gradient
      continue;
    }
    inverse.add(before, now);
    ++result.iterations;
  }
  result.gradient = largest_entry(now.gradient);
  result.converged = result.gradient <= setting.tolerance;
  result.value = now.value;
  result.x = std::move(now.x);
  return result;
}

}  // namespace bissl::host
