#pragma once

#include "bissl/tensor_list.h"

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bissl::host {

/// The factor on losses that keeps gradients of half precision from vanishing (Micikevicius et al.
/// 2018, arXiv 1710.03740, section 3.2). It adapts: a step whose gradients are not finite is left
/// out and halves it, many good steps in a row double it. Its values are powers of two, so that
/// dividing by it changes no digit.
class LossScale {
 public:
  static constexpr double first = 65536;
  static constexpr double least = 1;  ///< there is no smaller one: the training diverges
  static constexpr int64_t growth_steps = 2000;

  /// What continues it.
  struct State {
    double value = least;
    int64_t good_steps = 0;  ///< since it changed
  };

  /// Until then it is 1, as trials have it.
  void begin() { restore({.value = first}); }

  double value() const { return state_.value; }

  /// To be called once for each step, with whether its gradients are finite; whether the step is to
  /// be made.
  bool accept(bool finite);

  /// Whether the last step was left out.
  bool skipped() const { return skipped_; }

  const State& state() const { return state_; }
  void restore(const State& state) {
    state_ = state;
    skipped_ = false;
  }

 private:
  State state_;
  bool skipped_ = false;
};

/// Gradients of a scalar as gradients_of gives them, computed on the scaled loss where the
/// precision of now has a scale (models/precision.h). Gradients are recorded when it is called.
TensorList training_gradients_of(const at::Tensor& loss, const TensorList& parameters);

}  // namespace bissl::host
