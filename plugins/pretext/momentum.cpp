#include "momentum.h"

#include "bissl/teacher.h"

#include <torch/nn/module.h>

#include <cmath>
#include <utility>

namespace bissl {

Schema<MomentumOptions> momentum_schema() {
  Schema<MomentumOptions> schema;
  schema
      .add("momentum", &MomentumOptions::momentum,
           "share of the teacher's weights that the first step keeps")
      .at_least(0)
      .less_than(1);
  schema
      .add("momentum_end", &MomentumOptions::momentum_end,
           "the same at the end of the stage; between the two it follows a cosine")
      .at_least(0)
      .at_most(1);
  schema.rule([](const MomentumOptions& options, std::vector<Finding>& findings) {
    if (options.momentum_end < options.momentum) {
      findings.push_back({Finding::Severity::warning, "momentum_end",
                          "is below momentum: the teacher follows faster towards the end"});
    }
  });
  return schema;
}

double momentum_at(const MomentumOptions& options, const TrainingProgress& progress) {
  const double part = static_cast<double>(progress.step) / static_cast<double>(progress.steps);
  return options.momentum_end -
         (options.momentum_end - options.momentum) * (std::cos(M_PI * part) + 1.0) / 2.0;
}

Teacher::Teacher(torch::nn::Module& task, const PretextContext& context,
                 std::shared_ptr<torch::nn::Module> head, const torch::nn::Module& student_head)
    : backbone_(context.make_backbone()), head_(std::move(head)) {
  const auto teacher = task.register_module("teacher", std::make_shared<torch::nn::Module>());
  register_backbone(*teacher, "backbone", backbone_);
  teacher->register_module("projector", head_);
  for (const at::Tensor& parameter : head_->parameters()) {
    parameter.requires_grad_(false);
  }
  move_average(*head_, student_head, 0.0);
}

void Teacher::follow(Backbone& student, const torch::nn::Module& student_head,
                     double momentum) const {
  move_average(backbone_->module(), student.module(), momentum);
  move_average(*head_, student_head, momentum);
}

}  // namespace bissl
