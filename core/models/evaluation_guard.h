#pragma once

#include "bissl/tensor_list.h"

#include <ATen/core/Generator.h>

#include <cstdint>
#include <vector>

namespace torch::nn {
class Module;
}

namespace bissl::host {

/// Lets models be evaluated in training mode without leaving a trace: when the guard goes, the
/// modules' buffers (running statistics, queues) and LibTorch's default CPU generator are as they
/// were. While it lives, the generator starts from `noise_seed`, so two evaluations under guards
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

/// Seeds LibTorch's default generator, which initialises weights and draws dropout masks.
void seed_generator(uint64_t seed);

/// The default generator's state and back, for checkpoints.
at::Tensor generator_state();
void set_generator_state(const at::Tensor& state);

}  // namespace bissl::host
