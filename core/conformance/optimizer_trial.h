#pragma once

#include "bissl/optimizer.h"
#include "conformance/checker.h"
#include "conformance/samples.h"

#include <ATen/core/Tensor.h>

#include <memory>

namespace bissl::host {

// What the checks of optimizers have in common.

/// ½·‖θ − target‖² over some parameters, and an optimizer for it.
class Quadratic {
 public:
  /// Over small_parameters().
  explicit Quadratic(const Checker& checker) : Quadratic(checker, small_parameters()) {}
  Quadratic(const Checker& checker, const NamedTensors& of);
  /// With an optimizer that has other values of its parameters than those under test.
  explicit Quadratic(const ComponentChoice& choice);

  double loss() const;
  /// The gradients of now, in memory of their own.
  TensorList gradients() const;
  /// Makes them the parameters' grad().
  void give_gradients();

  /// A step with the gradients of now.
  void step(double lr_scale = 1.0);
  /// A step where all gradients are 0.
  void step_without_gradients(double lr_scale = 1.0);

  /// Copies of the parameters.
  TensorList values() const;
  void set(const TensorList& values);

  NamedTensors parameters;
  std::shared_ptr<Optimizer> optimizer;

 private:
  void make_targets();

  TensorList targets_;
};

/// Whether the tensors of two lists are equal to the bit.
bool same(const TensorList& a, const TensorList& b);

/// Copies that share no memory with `state`.
NamedTensors copy_of(const NamedTensors& state);

/// The part of check_optimizer that concerns single steps: what they move, what they do where
/// gradients or weights are 0, and the learning rate and the momentum that they have.
void check_optimizer_steps(Checker& checker);

}  // namespace bissl::host
