#include "components.h"
#include "projector.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/relu.h>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {8192, 8192, 8192};
  double invariance = 25.0;
  double variance = 25.0;
  double covariance = 1.0;
};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector);
  schema
      .add("invariance", &Options::invariance,
           "weight λ of the views' squared distance, a mean over samples and dimensions")
      .at_least(0);
  schema
      .add("variance", &Options::variance,
           "weight μ of what the deviations over the batch lack of 1")
      .at_least(0);
  schema
      .add("covariance", &Options::covariance,
           "weight ν of the squared covariances of different dimensions")
      .at_least(0);
  return schema;
}

/// Equations 1 and 2: what each dimension's deviation lacks of γ = 1, a mean.
at::Tensor lost_variance(const at::Tensor& rows) {
  constexpr double epsilon = 1e-4;
  return at::relu(1.0 - (rows.var(0) + epsilon).sqrt()).mean();
}

/// Equations 3 and 4.
at::Tensor redundancy(const at::Tensor& rows) {
  const at::Tensor centred = rows - rows.mean(0);
  const at::Tensor covariance = products(centred.t(), centred.t()) / double(rows.size(0) - 1);
  const at::Tensor others = covariance.square().sum() - covariance.diagonal().square().sum();
  return others / double(rows.size(1));
}

/// The weights as in algorithm 1, where the distance is a mean over the dimensions.
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
    return options_.invariance * (first - second).square().mean() +
           options_.variance * (lost_variance(first) + lost_variance(second)) +
           options_.covariance * (redundancy(first) + redundancy(second));
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
