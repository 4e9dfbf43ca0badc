#pragma once

#include "bissl/optimizer.h"
#include "reference/golden.h"
#include "sdk/plugin_library.h"

#include <cstdint>
#include <memory>
#include <string>

namespace bissl::host::test {

/// An optimizer over a weight (3, 4) and a bias (4), started and driven as in
/// tests/reference/training.py.
class Training {
 public:
  Training(const std::string& name, const ParameterValues& values)
      : parameters_{{"weight", pattern(20, {3, 4}).requires_grad_()},
                    {"bias", pattern(21, {4}).requires_grad_()}},
        optimizer_(shared_library("optimizers")
                       .make<Optimizer>(name, values, {.parameters = parameters_})) {}

  void set_gradients(int64_t step, bool zero = false) {
    for (size_t k = 0; k < parameters_.size(); ++k) {
      const at::Tensor value = parameter(k).detach();
      const at::Tensor slope =
          pattern(30 + 2 * step + static_cast<int64_t>(k), value.sizes()) + 0.3 * value;
      parameters_[k].tensor.mutable_grad() = zero ? slope * 0 : slope;
    }
  }

  void step(int64_t step, double rate) {
    set_gradients(step);
    optimizer_->step(rate);
  }

  at::Tensor& parameter(size_t k) { return parameters_[k].tensor; }
  Optimizer& optimizer() { return *optimizer_; }

 private:
  NamedTensors parameters_;
  std::shared_ptr<Optimizer> optimizer_;
};

}  // namespace bissl::host::test
