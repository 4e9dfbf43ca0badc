#pragma once

#include "bissl/batch.h"
#include "plugins/component.h"

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

// Training steps of each kind, of components that ship, on any device: a ResNet-18 of 4 channels on
// views of 16 pixels, in single precision. What is random is the same on all devices.
namespace bissl::host::test {

/// A component that ships in the library of this name, with default values but for these.
ComponentChoice choose(ComponentKind kind, const std::string& library, const std::string& name,
                       const ParameterValues& values);

/// What a training ends with.
struct Trained {
  std::vector<double> losses;        ///< of each step
  at::Tensor weights;                ///< of all networks, in one row, on the CPU
  std::vector<std::string> strayed;  ///< parameters and buffers that are on another device
};

/// Steps of a pretext task; the optimizer is "sgd", "lars", "lamb" or another one that ships.
Trained pretrained(const std::string& task, const std::string& optimizer, c10::Device device,
                   int64_t steps);

/// Rounds of one lower and one upper step with an approximator, on SimCLR.
Trained after_rounds(const std::string& approximator, c10::Device device, int64_t rounds);

/// Steps of fine-tuning with SGD.
Trained finetuned(c10::Device device, int64_t steps);

/// Batch `number`: two views, geometry, classes and numbers of its samples.
Batch batch_on(c10::Device device, int64_t number);

}  // namespace bissl::host::test
