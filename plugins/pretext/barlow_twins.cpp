#include "components.h"
#include "projector.h"
#include "vectors.h"

#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {8192, 8192, 8192};
  double redundancy = 0.005;
};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector);
  schema
      .add("redundancy", &Options::redundancy,
           "weight λ of the correlations of different dimensions")
      .at_least(0);
  return schema;
}

class BarlowTwins : public Pretext {
 public:
  BarlowTwins(const Options& options, const PretextContext& context)
      : options_(options),
        projector_(module_->register_module("projector",
                                            make_projector(context.features, options.projector))),
        norm_(module_->register_module(
            "norm",
            BatchNorm(torch::nn::BatchNormOptions(options.projector.back()).affine(false)))) {}

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::batch_statistics; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], "barlow-twins correlates over the samples of a batch");
    const at::Tensor first = norm_(projector_->forward(backbone.forward(batch.views[0])));
    const at::Tensor second = norm_(projector_->forward(backbone.forward(batch.views[1])));
    const at::Tensor correlation = products(first.t(), second.t()) / double(first.size(0));
    const at::Tensor own = correlation.diagonal();
    const at::Tensor others = correlation.square().sum() - own.square().sum();
    return (1.0 - own).square().sum() + options_.redundancy * others;
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_;
  BatchNorm norm_;
};

}  // namespace

void add_barlow_twins(Registrar& registrar) {
  registrar.add<Pretext, BarlowTwins>(
      {.name = "barlow-twins",
       .summary = "makes the correlations of two views' dimensions the identity",
       .source = "Zbontar et al. 2021, arXiv 2103.03230, equations 1 and 2"},
      schema());
}

}  // namespace bissl
