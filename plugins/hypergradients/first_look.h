#pragma once

#include "bissl/error.h"
#include "bissl/linear_system.h"

#include <ATen/ops/tensor.h>

#include <cstdint>

// For solvers that stop at a tolerance: v = u is the first candidate, and the first product, which
// is made with a multiple of u, tells whether it is within the tolerance already.
namespace bissl {

/// x ↦ A·x, of which the first x is a multiple of u.
class FirstLook {
 public:
  /// `apply` must outlive it.
  FirstLook(LinearSystem& apply, double tolerance) : apply_(apply), tolerance_(tolerance) {}

  TensorList operator()(const TensorList& x) {
    TensorList image = apply_(x);
    if (!looked_) {
      looked_ = true;
      TensorList rest = copy(x);
      add_scaled(rest, -1.0, image);
      residual_ = norm(rest) / norm(x);
    }
    return image;
  }

  /// Whether ‖u − A·u‖ was seen to be within the tolerance.
  bool accepts_u() const { return looked_ && tolerance_ > 0 && residual_ <= tolerance_; }

  /// ‖u − A·u‖/‖u‖, once a product was made.
  double residual_of_u() const { return residual_; }

 private:
  LinearSystem& apply_;
  double tolerance_;
  bool looked_ = false;
  double residual_ = -1.0;
};

/// After v = u was within the tolerance, the next solves take it without a product, until it is
/// time to ask again. A part of a solver's state.
class Pause {
 public:
  /// Every `every`-th solve asks.
  explicit Pause(int64_t every) : every_(every) {}

  /// Whether the solve that begins takes v = u unasked.
  bool skips() {
    if (left_ == 0) {
      return false;
    }
    --left_;
    return true;
  }

  /// To be told by each solve that asked what it saw.
  void note(bool u_is_enough) { left_ = u_is_enough ? every_ - 1 : 0; }

  /// v = u.
  static HypergradientSolution skipped(const TensorList& u, double damping) {
    return {.v = copy(u), .status = SolveStatus::direct, .damping = damping};
  }

  /// Empty where the next solve asks.
  NamedTensors state() const {
    return left_ == 0 ? NamedTensors{} : NamedTensors{{name, at::tensor(left_)}};
  }

  /// Takes its own from `state` and returns the others.
  NamedTensors load(const NamedTensors& state) {
    NamedTensors others;
    left_ = 0;
    for (const NamedTensor& entry : state) {
      if (entry.name != name) {
        others.push_back(entry);
      } else if (entry.tensor.numel() != 1 || entry.tensor.item<int64_t>() < 0) {
        fail_input("the checkpoint's \"{}\" of the solver is not one number of at least 0", name);
      } else {
        left_ = entry.tensor.item<int64_t>();
      }
    }
    return others;
  }

 private:
  static constexpr const char* name = "solves_unasked";
  int64_t every_;
  int64_t left_ = 0;  ///< solves to come that do not ask
};

}  // namespace bissl
