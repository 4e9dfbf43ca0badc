#pragma once

#include "bissl/optimizer.h"

#include <string>
#include <utility>

namespace bissl::optimizers {

/// One tensor of state for each parameter, zero at the start, that is saved under
/// "<name>/<parameter>".
class StateBuffers {
 public:
  StateBuffers(std::string name, const NamedTensors& parameters);

  at::Tensor& operator[](size_t parameter) { return tensors_[parameter].second; }
  const at::Tensor& operator[](size_t parameter) const { return tensors_[parameter].second; }

  /// Appends the tensors to `state`.
  void save(NamedTensors& state) const;
  /// Throws Error when a tensor is missing in `state` or has another shape.
  void check(const NamedTensors& state) const;
  /// Copies the tensors from `state`, or nothing where check() throws.
  void load(const NamedTensors& state);

 private:
  NamedTensors tensors_;
};

/// The tensor called `name`. Throws Error(ErrorKind::input) when there is none of `shape_of`'s
/// shape.
const at::Tensor& find_state(const NamedTensors& state, const std::string& name,
                             const at::Tensor& shape_of);

/// Whether weight decay or layer-wise scaling reaches a parameter: always, or only with more than
/// one dimension, which leaves out biases and the weights of normalisations.
inline bool applies_to(const at::Tensor& parameter, bool one_dimensional) {
  return one_dimensional || parameter.dim() > 1;
}

}  // namespace bissl::optimizers
