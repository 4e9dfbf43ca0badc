#include "components.h"
#include "projector.h"
#include "variance.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {8192, 8192, 8192};
  VarianceWeights weights{};
};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector);
  schema.embed(&Options::weights, variance_schema());
  return schema;
}

class VicReg : public Pretext {
 public:
  VicReg(const Options& options, const PretextContext& context)
      : options_(options), projector_(make_projector(context.features, options.projector)) {}

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::batch_statistics; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], "vicreg takes variances over the samples of a batch");
    const at::Tensor first = projector_->forward(backbone.forward(batch.views[0]));
    const at::Tensor second = projector_->forward(backbone.forward(batch.views[1]));
    return variance_loss(first, second, options_.weights);
  }

  torch::nn::Module& module() override { return *projector_; }

 private:
  Options options_;
  torch::nn::Sequential projector_;
};

}  // namespace

void add_vicreg(Registrar& registrar) {
  registrar.add<Pretext, VicReg>(
      {.name = "vicreg",
       .summary = "draws two views together and keeps variance and independence of the dimensions",
       .source = "Bardes, Ponce and LeCun 2022, arXiv 2105.04906, equations 1 to 6, algorithm 1"},
      schema());
}

}  // namespace bissl
