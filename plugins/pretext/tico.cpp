#include "components.h"
#include "momentum.h"
#include "projector.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {4096, 256};
  double covariance = 8.0;
  double covariance_momentum = 0.9;
  MomentumOptions momentum{.momentum = 0.99, .momentum_end = 1.0};
};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, {}, Heads::with_teacher);
  schema
      .add("covariance", &Options::covariance,
           "weight ρ of what embeddings have along the directions of most covariance")
      .at_least(0);
  schema
      .add("covariance_momentum", &Options::covariance_momentum,
           "share β of the covariance of earlier batches that a step keeps")
      .at_least(0)
      .less_than(1);
  schema.embed(&Options::momentum, momentum_schema());
  return schema;
}

/// Algorithm 1: the gradient passes through the batch's own part of the covariance.
class TiCo : public Pretext {
 public:
  TiCo(const Options& options, const PretextContext& context)
      : options_(options),
        projector_(module_->register_module("projector",
                                            make_projector(context.features, options.projector))),
        teacher_projector_(make_projector(context.features, options.projector)),
        teacher_(*module_, context, teacher_projector_.ptr(), *projector_),
        covariance_(module_->register_buffer(
            "covariance", at::zeros({options.projector.back(), options.projector.back()}))) {}

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::batch_statistics; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], "tico takes a covariance over the samples of a batch");
    const at::Tensor rows = unit(projector_->forward(backbone.forward(batch.views[0])));
    const double kept = options_.covariance_momentum;
    const at::Tensor covariance =
        kept * covariance_ + (1.0 - kept) * products(rows.t(), rows.t()) / double(rows.size(0));
    remember(covariance);
    return 1.0 - (rows * target(batch.views[1])).sum(1).mean() +
           options_.covariance * (rows.matmul(covariance) * rows).sum(1).mean();
  }

  void after_step(Backbone& backbone, const TrainingProgress& progress) override {
    teacher_.follow(backbone, *projector_, momentum_at(options_.momentum, progress));
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  void remember(const at::Tensor& covariance) {
    const c10::NoGradGuard no_grad;
    covariance_.copy_(covariance);
  }

  at::Tensor target(const at::Tensor& view) {
    const c10::NoGradGuard no_grad;
    return unit(teacher_projector_->forward(teacher_.backbone().forward(view)));
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_;
  torch::nn::Sequential teacher_projector_;
  Teacher teacher_;
  at::Tensor covariance_;  ///< (width, width)
};

}  // namespace

void add_tico(Registrar& registrar) {
  registrar.add<Pretext, TiCo>(
      {.name = "tico",
       .summary = "draws views to a teacher's and away from the directions of most covariance",
       .source = "Zhu et al. 2022, arXiv 2206.10698, algorithm 1"},
      schema());
}

}  // namespace bissl
