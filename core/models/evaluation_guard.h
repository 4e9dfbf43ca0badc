#pragma once

#include "bissl/tensor_list.h"

#include <ATen/core/Generator.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

namespace torch::nn {
class Module;
}

namespace bissl::host {

/// Lets models be evaluated in training mode without leaving a trace: when the guard goes, the
/// modules' buffers (running statistics, queues) and LibTorch's default generators are as they
/// were. While it lives, the generators start from `noise_seed`, so two evaluations under guards
/// of one seed draw the same random numbers.
///
/// Buffers are restored without touching their version counters, so graphs that were built under
/// the guard stay usable after it.
class EvaluationGuard {
 public:
  EvaluationGuard(const std::vector<torch::nn::Module*>& modules, uint64_t noise_seed);
  ~EvaluationGuard();
  EvaluationGuard(const EvaluationGuard&) = delete;
  EvaluationGuard& operator=(const EvaluationGuard&) = delete;

 private:
  TensorList buffers_;
  TensorList saved_;
  at::Tensor generator_state_;
};

/// Names the device that the process computes on. LibTorch draws what is made on a GPU from a
/// generator of that GPU; from now on the functions below are about the CPU's and that one.
void set_generator_device(c10::Device device);

/// Seeds LibTorch's default generators, which initialise weights and draw dropout masks.
void seed_generator(uint64_t seed);

/// The default generators' states, one after the other in one tensor of bytes on the CPU, for
/// checkpoints.
at::Tensor generator_state();

/// Puts them back. A state of the CPU's alone, saved on another device, leaves a GPU's generator as
/// it is; what a GPU has added to it is left out on the CPU.
void set_generator_state(const at::Tensor& state);

}  // namespace bissl::host
