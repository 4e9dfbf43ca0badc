#include "components.h"
#include "contrast.h"
#include "projector.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

namespace bissl {
namespace {

struct Options {
  double temperature = 0.1;
  std::vector<int64_t> projector = {2048, 128};
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("temperature", &Options::temperature, "divides the cosine similarities").more_than(0);
  add_projector(schema, &Options::projector);
  return schema;
}

/// Both views go through the network as one batch, as in the published code.
class SupCon : public Pretext {
 public:
  SupCon(const Options& options, const PretextContext& context)
      : options_(options), projector_(make_projector(context.features, options.projector)) {}

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::gathered; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], "supcon compares the samples of a batch");
    const at::Tensor rows = projector_->forward(backbone.forward(joined(batch.views)));
    return supervised_contrast(rows, batch.targets.dense.repeat({2}), options_.temperature);
  }

  torch::nn::Module& module() override { return *projector_; }

 private:
  Options options_;
  torch::nn::Sequential projector_;
};

}  // namespace

void add_supcon(Registrar& registrar) {
  registrar.add<Pretext, SupCon>(
      {.name = "supcon",
       .summary = "contrast that draws samples of one class together: it reads the classes",
       .source = "Khosla et al. 2020, arXiv 2004.11362, equation 2",
       .takes = {TargetKind::category}},
      schema());
}

}  // namespace bissl
