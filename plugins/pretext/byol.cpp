#include "momentum.h"
#include "projector.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {4096, 256};
  std::vector<int64_t> predictor = {4096};
  MomentumOptions momentum{.momentum = 0.996, .momentum_end = 1.0};
};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, {}, Heads::with_teacher);
  add_predictor(schema, &Options::predictor, Heads::with_teacher);
  schema.embed(&Options::momentum, momentum_schema());
  return schema;
}

/// The squared distance of unit vectors, a mean over the samples (equation 2).
at::Tensor distance(const at::Tensor& prediction, const at::Tensor& target) {
  return 2.0 - 2.0 * cosines(prediction, target).mean();
}

/// The networks of figure 2. The teacher is the paper's target network.
class Byol : public Pretext {
 public:
  Byol(const Options& options, const PretextContext& context)
      : options_(options),
        projector_(module_->register_module("projector", make_projector(context))),
        predictor_(module_->register_module(
            "predictor",
            bissl::make_projector(options.projector.back(),
                                  followed_by(options.predictor, options.projector.back())))),
        teacher_projector_(make_projector(context)),
        teacher_(*module_, context, teacher_projector_.ptr(), *projector_) {}

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor first = predict(backbone, batch.views[0]);
    const at::Tensor second = predict(backbone, batch.views[1]);
    return distance(first, target(batch.views[1])) + distance(second, target(batch.views[0]));
  }

  void after_step(Backbone& backbone, const TrainingProgress& progress) override {
    teacher_.follow(backbone, *projector_, momentum_at(options_.momentum, progress));
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  torch::nn::Sequential make_projector(const PretextContext& context) const {
    return bissl::make_projector(context.features, options_.projector);
  }

  at::Tensor predict(Backbone& backbone, const at::Tensor& view) {
    require_two_samples(view, "byol normalises over the samples of a batch");
    return predictor_->forward(projector_->forward(backbone.forward(view)));
  }

  at::Tensor target(const at::Tensor& view) {
    const c10::NoGradGuard no_grad;
    return teacher_projector_->forward(teacher_.backbone().forward(view));
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_;
  torch::nn::Sequential predictor_;
  torch::nn::Sequential teacher_projector_;
  Teacher teacher_;
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
