// VICReg (Bardes, Ponce and LeCun 2022, arXiv 2105.04906, equations 1 to 6): two views' features
// are drawn together, each keeps its variance, and different features are kept from telling the
// same.

#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/relu.h>
#include <torch/nn/module.h>

#include <memory>

namespace bissl {
namespace {

struct Options {
  int64_t projector = 128;
  double invariance = 25.0;
  double variance = 25.0;
  double covariance = 1.0;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("projector", &Options::projector, "width of the projector's three layers").at_least(2);
  schema.add("invariance", &Options::invariance, "weight of the distance between views")
      .at_least(0);
  schema.add("variance", &Options::variance, "weight of the term that keeps features spread")
      .at_least(0);
  schema.add("covariance", &Options::covariance, "weight of the term against redundant features")
      .at_least(0);
  return schema;
}

class VicReg : public Pretext {
 public:
  VicReg(const Options& options, const PretextContext& context) : options_(options) {
    const int64_t width = options.projector;
    first_ = module_->register_module("first", Linear(context.features, width));
    first_norm_ = module_->register_module("first_norm", BatchNorm(width));
    second_ = module_->register_module("second", Linear(width, width));
    second_norm_ = module_->register_module("second_norm", BatchNorm(width));
    third_ = module_->register_module("third",
                                      Linear(torch::nn::LinearOptions(width, width).bias(false)));
  }

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::batch_statistics; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor a = project(backbone.forward(batch.views[0]));
    const at::Tensor b = project(backbone.forward(batch.views[1]));
    return options_.invariance * (a - b).square().mean() +
           options_.variance * (lost_variance(a) + lost_variance(b)) / 2 +
           options_.covariance * (redundancy(a) + redundancy(b));
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  at::Tensor project(const at::Tensor& features) {
    const at::Tensor hidden = at::relu(first_norm_(first_(features)));
    return third_(at::relu(second_norm_(second_(hidden))));
  }

  /// Mean of max(0, 1 − deviation) over the features: equations 1 and 2.
  static at::Tensor lost_variance(const at::Tensor& z) {
    return at::relu(1 - (z.var(0) + 1e-4).sqrt()).mean();
  }

  /// Squares of the covariances of different features: equations 3 and 4.
  static at::Tensor redundancy(const at::Tensor& z) {
    const at::Tensor centred = z - z.mean(0);
    const at::Tensor covariance = centred.t().matmul(centred) / double(z.size(0) - 1);
    const at::Tensor all = covariance.square().sum();
    return (all - covariance.diagonal().square().sum()) / double(z.size(1));
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  Linear first_{nullptr};
  BatchNorm first_norm_{nullptr};
  Linear second_{nullptr};
  BatchNorm second_norm_{nullptr};
  Linear third_{nullptr};
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("example-vicreg", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Pretext, VicReg>(
      {.name = "example-vicreg",
       .summary = "invariance, variance and covariance of two views",
       .source = "Bardes, Ponce and LeCun 2022, arXiv 2105.04906, equations 1 to 6"},
      schema());
}
