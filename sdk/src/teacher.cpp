#include "bissl/teacher.h"

#include "bissl/error.h"

#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

namespace bissl {

void register_backbone(torch::nn::Module& module, const std::string& name,
                       const std::shared_ptr<Backbone>& backbone) {
  // The pointer shares its owner with the backbone, whose module may be a plain member.
  module.register_module(name, std::shared_ptr<torch::nn::Module>(backbone, &backbone->module()));
}

void move_average(torch::nn::Module& teacher, const torch::nn::Module& student, double momentum) {
  const c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> averages = teacher.parameters();
  const std::vector<at::Tensor> weights = student.parameters();
  if (averages.size() != weights.size()) {
    fail_run("a moving average of {} parameters cannot follow a network of {}", averages.size(),
             weights.size());
  }
  for (size_t i = 0; i < averages.size(); ++i) {
    if (averages[i].sizes() != weights[i].sizes()) {
      fail_run("parameter {} of a moving average has another shape than that of the network", i);
    }
    averages[i].mul_(momentum).add_(weights[i], 1.0 - momentum);
  }
}

}  // namespace bissl
