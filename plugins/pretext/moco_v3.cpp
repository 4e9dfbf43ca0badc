#include "components.h"
#include "contrast.h"
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
  double temperature = 1.0;
  MomentumOptions momentum{.momentum = 0.99, .momentum_end = 1.0};
};

constexpr ProjectorForm projector_form = {.last = ProjectorForm::LastNorm::plain};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, projector_form, Heads::with_teacher);
  add_predictor(schema, &Options::predictor, Heads::with_teacher);
  schema
      .add("temperature", &Options::temperature,
           "divides the cosine similarities; the loss is multiplied by twice this")
      .more_than(0);
  schema.embed(&Options::momentum, momentum_schema());
  return schema;
}

/// Algorithm 1, with the heads of the published code for ResNets.
class MocoV3 : public Pretext {
 public:
  MocoV3(const Options& options, const PretextContext& context)
      : options_(options),
        projector_(module_->register_module("projector", make(context))),
        predictor_(module_->register_module(
            "predictor", make_projector(options.projector.back(),
                                        followed_by(options.predictor, options.projector.back())))),
        teacher_projector_(make(context)),
        teacher_(*module_, context, teacher_projector_.ptr(), *projector_) {}

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::gathered; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], "moco-v3 compares the samples of a batch");
    const double temperature = options_.temperature;
    const at::Tensor first = queries(backbone, batch.views[0]);
    const at::Tensor second = queries(backbone, batch.views[1]);
    return 2.0 * temperature *
           (info_nce(first, keys(batch.views[1]), temperature) +
            info_nce(second, keys(batch.views[0]), temperature));
  }

  void after_step(Backbone& backbone, const TrainingProgress& progress) override {
    teacher_.follow(backbone, *projector_, momentum_at(options_.momentum, progress));
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  torch::nn::Sequential make(const PretextContext& context) const {
    return make_projector(context.features, options_.projector, projector_form);
  }

  at::Tensor queries(Backbone& backbone, const at::Tensor& view) {
    return unit(predictor_->forward(projector_->forward(backbone.forward(view))));
  }

  at::Tensor keys(const at::Tensor& view) {
    const c10::NoGradGuard no_grad;
    return unit(teacher_projector_->forward(teacher_.backbone().forward(view)));
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_;
  torch::nn::Sequential predictor_;
  torch::nn::Sequential teacher_projector_;
  Teacher teacher_;
};

}  // namespace

void add_moco_v3(Registrar& registrar) {
  registrar.add<Pretext, MocoV3>(
      {.name = "moco-v3",
       .summary = "contrasts predictions with keys that a slowly moving teacher makes of the batch",
       .source = "Chen, Xie and He 2021, arXiv 2104.02057, equation 1 and algorithm 1"},
      schema());
}

}  // namespace bissl
