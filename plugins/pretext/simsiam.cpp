#include "components.h"
#include "projector.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {2048, 2048, 2048};
  std::vector<int64_t> predictor = {512};
};

constexpr ProjectorForm projector_form = {.last = ProjectorForm::LastNorm::plain};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, projector_form);
  add_hidden(schema, "predictor", &Options::predictor,
             "widths of the hidden layers of the predictor, which ends in the projector's width; "
             "the paper has a quarter of it");
  return schema;
}

class SimSiam : public Pretext {
 public:
  SimSiam(const Options& options, const PretextContext& context)
      : projector_(module_->register_module(
            "projector", make_projector(context.features, options.projector, projector_form))),
        predictor_(module_->register_module(
            "predictor", make_projector(options.projector.back(),
                                        followed_by(options.predictor, options.projector.back()),
                                        {.last_bias = true}))) {}

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }
  bool holds_targets_fixed() const override { return true; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], "simsiam normalises over the samples of a batch");
    const at::Tensor first = projector_->forward(backbone.forward(batch.views[0]));
    const at::Tensor second = projector_->forward(backbone.forward(batch.views[1]));
    return -0.5 * (cosines(predictor_->forward(first), second.detach()) +
                   cosines(predictor_->forward(second), first.detach()))
                      .mean();
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_;
  torch::nn::Sequential predictor_;
};

}  // namespace

void add_simsiam(Registrar& registrar) {
  registrar.add<Pretext, SimSiam>(
      {.name = "simsiam",
       .summary = "predicts one view's embedding from the other's, which is held fixed",
       .source = "Chen and He 2021, arXiv 2011.10566, equations 1 to 4"},
      schema());
}

}  // namespace bissl
