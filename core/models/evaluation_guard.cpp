#include "models/evaluation_guard.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/cat.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <mutex>

namespace bissl::host {
namespace {

c10::Device generator_device = c10::kCPU;

/// Those that a computation on the process's device may draw from: the CPU's first.
std::vector<at::Generator> generators() {
  std::vector<at::Generator> all{at::detail::getDefaultCPUGenerator()};
  if (generator_device.is_cuda()) {
    all.push_back(at::globalContext().defaultGenerator(generator_device));
  }
  return all;
}

}  // namespace

EvaluationGuard::EvaluationGuard(const std::vector<torch::nn::Module*>& modules,
                                 uint64_t noise_seed)
    : generator_state_(generator_state()) {
  for (const torch::nn::Module* module : modules) {
    for (const at::Tensor& buffer : module->buffers()) {
      buffers_.push_back(buffer);
      saved_.push_back(buffer.detach().clone());
    }
  }
  seed_generator(noise_seed);
}

EvaluationGuard::~EvaluationGuard() {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i].sizes() == saved_[i].sizes() &&
        buffers_[i].scalar_type() == saved_[i].scalar_type()) {
      buffers_[i].variable_data().copy_(saved_[i]);
    } else {
      // A component has given the buffer another shape. A copy would throw, here where nothing may.
      buffers_[i].set_data(saved_[i]);
    }
  }
  set_generator_state(generator_state_);
}

void set_generator_device(c10::Device device) { generator_device = device; }

void seed_generator(uint64_t seed) {
  for (at::Generator& generator : generators()) {
    const std::lock_guard lock(generator.mutex());
    generator.set_current_seed(seed);
  }
}

at::Tensor generator_state() {
  TensorList states;
  for (at::Generator& generator : generators()) {
    const std::lock_guard lock(generator.mutex());
    states.push_back(generator.get_state());
  }
  return states.size() == 1 ? states.front() : at::cat(states);
}

void set_generator_state(const at::Tensor& state) {
  int64_t begin = 0;
  for (at::Generator& generator : generators()) {
    const std::lock_guard lock(generator.mutex());
    const int64_t size = generator.get_state().numel();
    if (begin > 0 && begin + size > state.numel()) {
      return;
    }
    generator.set_state(state.narrow(0, begin, std::min(size, state.numel())));
    begin += size;
  }
}

}  // namespace bissl::host
