#pragma once

#include "dense_problem.h"

#include <memory>
#include <string_view>
#include <vector>

namespace bissl::host::test {

/// A lower level that has been trained for some steps; each has a batch, and so a Hessian, of its
/// own.
class TrainedProblem : public DenseProblem, public RecordedSteps {
 public:
  static constexpr double pull = 0.5;  ///< λ

  explicit TrainedProblem(int64_t steps)
      : DenseProblem(positive_matrix(9, 10), pull, three_tensors()) {
    for (int64_t t = 0; t < steps; ++t) {
      hessians.push_back(positive_matrix(20 + t, 10));
      problems.push_back(std::make_unique<DenseProblem>(hessians.back(), pull, three_tensors()));
      recorded.push_back({.learning_rate = 0.05 * double(t + 1),
                          .momentum = 0.0,
                          .preconditioner = {},
                          .system = problems.back().get()});
    }
  }
  void* capability(std::string_view id) override { return provide<RecordedSteps>(*this, id); }
  std::vector<LowerStep> recorded_steps() override { return recorded; }

  /// Momentum and preconditioners of several sizes.
  void make_uneven() {
    for (size_t t = 0; t < recorded.size(); ++t) {
      recorded[t].momentum = 0.9 - 0.1 * double(t);
      const auto k = int64_t(40 + 3 * t);
      recorded[t].preconditioner = {pattern(k, {2, 3}) + 1, pattern(k + 1, {3}) + 1,
                                    pattern(k + 2, {1}) + 1};
    }
  }

  /// (dθ_K/dθ_D)ᵀ·u by forward mode: the Jacobians of θ and of the momentum, step after step.
  at::Tensor derivative(const TensorList& u, size_t last) const {
    const at::Tensor one = at::eye(10, at::kDouble);
    at::Tensor theta = at::zeros({10, 10}, at::kDouble);
    at::Tensor momentum = at::zeros({10, 10}, at::kDouble);
    for (size_t t = recorded.size() - last; t < recorded.size(); ++t) {
      const at::Tensor gradient = (hessians[t] + one * pull).matmul(theta) - one * pull;
      const TensorList& p = recorded[t].preconditioner;
      momentum = momentum * recorded[t].momentum +
                 (p.empty() ? gradient : gradient * flat(p).unsqueeze(1));
      theta = theta - momentum * recorded[t].learning_rate;
    }
    return theta.t().matmul(flat(u));
  }

  std::vector<at::Tensor> hessians;
  std::vector<std::unique_ptr<DenseProblem>> problems;
  std::vector<LowerStep> recorded;
};

}  // namespace bissl::host::test
