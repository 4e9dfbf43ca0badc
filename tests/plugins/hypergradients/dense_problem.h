#pragma once

#include "bissl/hypergradient.h"
#include "bissl/system_abilities.h"
#include "reference/golden.h"

#include <ATen/ops/block_diag.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <string>
#include <vector>

// Quadratic lower levels whose solutions follow from dense algebra.
namespace bissl::host::test {

/// A lower level whose Hessian is a given matrix over all parameters in a row: L = ½·θᵀHθ at the
/// parameters given (zero where none are).
class DenseProblem : public ImplicitSystem, public SystemPreconditioner {
 public:
  DenseProblem(at::Tensor hessian, double lambda, TensorList parameters = {}, uint64_t id = 1)
      : hessian_(std::move(hessian)),
        lambda_(lambda),
        parameters_(std::move(parameters)),
        id_(id) {}

  TensorList hessian_product(const TensorList& x) override {
    ++products;
    return like(x, hessian_.matmul(flat(x)));
  }
  TensorList gradient(const TensorList& shift) override {
    gradients += shift.empty() ? 0 : 1;
    TensorList at = shift.empty() ? zeros_like(parameters_) : copy(shift);
    if (!parameters_.empty()) {
      add_scaled(at, 1.0, parameters_);
    }
    return like(at, hessian_.matmul(flat(at)));
  }
  const TensorList& parameters() const override { return parameters_; }
  double weight() const override { return lambda_; }
  uint64_t id() const override { return id_; }
  void* capability(std::string_view id) override {
    return provide<SystemPreconditioner>(*this, id);
  }
  /// Ones, as of plain gradient descent.
  TensorList preconditioner() override {
    TensorList ones;
    for (const at::Tensor& parameter : parameters_) {
      ones.push_back(at::ones_like(parameter));
    }
    return ones;
  }
  const std::vector<std::string>& parameter_names() const override { return names_; }

  static at::Tensor flat(const TensorList& x) {
    TensorList rows;
    for (const at::Tensor& tensor : x) {
      rows.push_back(tensor.reshape(-1));
    }
    return at::cat(rows);
  }

  static TensorList like(const TensorList& shapes, const at::Tensor& flat) {
    TensorList list;
    int64_t start = 0;
    for (const at::Tensor& tensor : shapes) {
      list.push_back(flat.narrow(0, start, tensor.numel()).reshape(tensor.sizes()).clone());
      start += tensor.numel();
    }
    return list;
  }

  int64_t products = 0;
  int64_t gradients = 0;  ///< at shifted points

 private:
  at::Tensor hessian_;
  double lambda_;
  TensorList parameters_;
  uint64_t id_;
  std::vector<std::string> names_;
};

/// Symmetric, with eigenvalues of at least 0 and a condition that CG copes with.
inline at::Tensor positive_matrix(int64_t k, int64_t size) {
  const at::Tensor root = pattern(k, {size, size}) * 4;
  return root.matmul(root.t());
}

/// Three tensors with ten elements in all.
inline TensorList three_tensors() { return {pattern(1, {2, 3}), pattern(2, {3}), pattern(3, {1})}; }

/// The solution of (I + H/(λ + δ))·v = u by elimination.
inline at::Tensor dense_solution(const at::Tensor& hessian, double weight, const TensorList& u) {
  const at::Tensor matrix = at::eye(hessian.size(0), at::kDouble) + hessian / weight;
  return at::linalg_solve(matrix, DenseProblem::flat(u));
}

inline double true_residual(const at::Tensor& hessian, double weight, const TensorList& u,
                            const TensorList& v) {
  const at::Tensor right = DenseProblem::flat(u);
  const at::Tensor left = DenseProblem::flat(v);
  const at::Tensor residual = right - left - hessian.matmul(left) / weight;
  return (residual.norm() / right.norm()).item<double>();
}

inline double distance(const TensorList& x, const at::Tensor& y) {
  return ((DenseProblem::flat(x) - y).norm() / y.norm()).item<double>();
}

inline bool equal(const TensorList& x, const TensorList& y) {
  return DenseProblem::flat(x).equal(DenseProblem::flat(y));
}

}  // namespace bissl::host::test
