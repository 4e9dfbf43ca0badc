#include "models/evaluation_guard.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <mutex>

namespace bissl::host {

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

void seed_generator(uint64_t seed) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  generator.set_current_seed(seed);
}

at::Tensor generator_state() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  return generator.get_state();
}

void set_generator_state(const at::Tensor& state) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  generator.set_state(state);
}

}  // namespace bissl::host
