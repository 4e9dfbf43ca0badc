#include "projector.h"

#include "bissl/error.h"
#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"
#include "bissl/teacher.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include <cmath>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {4096, 256};
  std::vector<int64_t> predictor = {4096};
  double momentum = 0.996;
  double momentum_end = 1.0;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("projector", &Options::projector,
           "widths of the projector's layers, student's and teacher's; batch normalisation and "
           "ReLU follow all but the last, which has neither bias nor normalisation")
      .at_least(1);
  schema
      .add("predictor", &Options::predictor,
           "widths of the hidden layers of the student's predictor, which ends in the projector's "
           "width")
      .at_least(1);
  schema
      .add("momentum", &Options::momentum,
           "share of the teacher's weights that the first step keeps")
      .at_least(0)
      .at_most(1);
  schema
      .add("momentum_end", &Options::momentum_end,
           "the same towards the end of the stage; a cosine lies between")
      .at_least(0)
      .at_most(1);
  schema.rule([](const Options& options, std::vector<Finding>& findings) {
    if (options.projector.empty()) {
      findings.push_back({Finding::Severity::error, "projector", "needs at least one layer"});
    }
    if (options.momentum_end < options.momentum) {
      findings.push_back({Finding::Severity::warning, "momentum_end",
                          "is below momentum: the teacher follows faster towards the end"});
    }
  });
  return schema;
}

/// The share of the teacher that step k of K keeps (section 3.2): τ_end − (τ_end − τ)·(cos(πk/K) +
/// 1)/2.
double momentum_at(const Options& options, const TrainingProgress& progress) {
  const double part = static_cast<double>(progress.step) / static_cast<double>(progress.steps);
  return options.momentum_end -
         (options.momentum_end - options.momentum) * (std::cos(M_PI * part) + 1.0) / 2.0;
}

/// Rows of length 1.
at::Tensor unit(const at::Tensor& rows) {
  constexpr double smallest_norm = 1e-12;
  return rows / rows.norm(2, {1}, /*keepdim=*/true).clamp_min(smallest_norm);
}

/// The squared distance of unit vectors, a mean over the samples (equation 2).
at::Tensor distance(const at::Tensor& prediction, const at::Tensor& target) {
  return 2.0 - 2.0 * (unit(prediction) * unit(target)).sum(1).mean();
}

/// The networks of figure 2. The teacher is the paper's target network.
class Byol : public Pretext {
 public:
  Byol(const Options& options, const PretextContext& context)
      : options_(options), teacher_backbone_(context.make_backbone()) {
    const int64_t width = options.projector.back();
    projector_ = make_projector(context.features, options.projector);
    predictor_ = make_projector(width, with(options.predictor, width));
    teacher_projector_ = make_projector(context.features, options.projector);
    module_->register_module("projector", projector_);
    module_->register_module("predictor", predictor_);
    const auto teacher = module_->register_module("teacher", std::make_shared<torch::nn::Module>());
    register_backbone(*teacher, "backbone", teacher_backbone_);
    teacher->register_module("projector", teacher_projector_);
    for (const at::Tensor& parameter : teacher_projector_->parameters()) {
      parameter.requires_grad_(false);
    }
    move_average(*teacher_projector_, *projector_, 0.0);  // it begins as a copy
  }

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor first = predict(backbone, batch.views[0]);
    const at::Tensor second = predict(backbone, batch.views[1]);
    return distance(first, target(batch.views[1])) + distance(second, target(batch.views[0]));
  }

  void after_step(Backbone& backbone, const TrainingProgress& progress) override {
    const double momentum = momentum_at(options_, progress);
    move_average(teacher_backbone_->module(), backbone.module(), momentum);
    move_average(*teacher_projector_, *projector_, momentum);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  static std::vector<int64_t> with(std::vector<int64_t> hidden, int64_t width) {
    hidden.push_back(width);
    return hidden;
  }

  at::Tensor predict(Backbone& backbone, const at::Tensor& view) {
    if (view.size(0) < 2) {
      fail_input("byol normalises over the samples of a batch, so it needs at least 2; found {}",
                 view.size(0));
    }
    return predictor_->forward(projector_->forward(backbone.forward(view)));
  }

  at::Tensor target(const at::Tensor& view) {
    const c10::NoGradGuard no_grad;
    return teacher_projector_->forward(teacher_backbone_->forward(view));
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  std::shared_ptr<Backbone> teacher_backbone_;
  torch::nn::Sequential projector_{nullptr};
  torch::nn::Sequential predictor_{nullptr};
  torch::nn::Sequential teacher_projector_{nullptr};
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("byol", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Pretext, Byol>(
      {.name = "byol",
       .summary = "predicts what a slowly moving teacher makes of the other view",
       .source = "Grill et al. 2020, arXiv 2006.07733, equation 2 and section 3"},
      schema());
}
