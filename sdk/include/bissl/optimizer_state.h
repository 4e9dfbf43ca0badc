#pragma once

#include "bissl/export.h"
#include "bissl/tensor_list.h"

#include <string>

// For optimizers: tensors of state that follow the parameters, and reading them back.
namespace bissl {

/// One tensor of state for each parameter, zero at the start, that is saved under
/// "<name>/<parameter>".
class BISSL_API StateBuffers {
 public:
  /// For OptimizerContext::parameters.
  StateBuffers(std::string name, const NamedTensors& parameters);

  /// That of parameter number `parameter`.
  at::Tensor& operator[](size_t parameter) { return tensors_[parameter].tensor; }
  /// That of parameter number `parameter`.
  const at::Tensor& operator[](size_t parameter) const { return tensors_[parameter].tensor; }

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
BISSL_API const at::Tensor& find_state(const NamedTensors& state, const std::string& name,
                                       const at::Tensor& shape_of);

/// Whether weight decay or layer-wise scaling applies to a parameter: always, or only with more
/// than one dimension, which leaves out biases and the weights of normalisations.
BISSL_API bool applies_to(const at::Tensor& parameter, bool one_dimensional);

}  // namespace bissl
