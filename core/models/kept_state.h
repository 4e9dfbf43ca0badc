#pragma once

#include "models/module_state.h"

#include <c10/core/GradMode.h>

namespace bissl::host {

/// Parameters and buffers of a module, put back when this goes.
class KeptState {
 public:
  explicit KeptState(const torch::nn::Module& module)
      : tensors_(tensors_of(module_state(module))), values_(copy(tensors_)) {}
  ~KeptState() {
    const c10::NoGradGuard no_grad;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      tensors_[i].copy_(values_[i]);
    }
  }
  KeptState(const KeptState&) = delete;
  KeptState& operator=(const KeptState&) = delete;

 private:
  TensorList tensors_;
  TensorList values_;
};

}  // namespace bissl::host
