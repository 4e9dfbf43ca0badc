#pragma once

#include "bissl/tensor_list.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace torch::nn {
class Module;
}

namespace bissl::host {

/// A moving average of weights along a training: after its step number t (from 1)
///
///     average ← a·average + (1 − a)·weights,    a = min(decay, (1 + t)/(10 + t)),
///
/// beginning with the weights before the first step. The second bound keeps those from counting
/// long in a short training (as TensorFlow's ExponentialMovingAverage does with num_updates).
/// Buffers of floating-point numbers, such as running statistics, are averaged like parameters;
/// others have the last value.
class WeightAverage {
 public:
  /// Each under a name of its own.
  using Modules = std::vector<std::pair<std::string, torch::nn::Module*>>;

  /// Of these modules, which must outlive it.
  WeightAverage(double decay, Modules modules);

  /// To be called after each step.
  void update();

  /// Puts the average into the modules.
  void put() const;

  /// Exchanges the average and the modules' weights: to score the average during the training.
  /// Twice is as if nothing had been done, to the bit.
  void swap();

  /// For checkpoints.
  NamedTensors state() const;
  /// Restores what state() gave. Throws Error of kind input when it does not fit.
  void load_state(const NamedTensors& state);

 private:
  NamedTensors weights() const;

  double decay_;
  int64_t steps_ = 0;
  Modules modules_;
  NamedTensors average_;
};

}  // namespace bissl::host
