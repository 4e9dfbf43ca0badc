// A pretext task with a teacher: keys come from a head that is a moving average of the student's,
// as in MoCo (He et al. 2020, arXiv 1911.05722, section 3.2), here for the head alone.

#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linear.h>
#include <torch/nn/module.h>

#include <memory>

namespace bissl {
namespace {

struct Options {
  int64_t width = 64;
  double momentum = 0.99;
  double temperature = 0.2;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("width", &Options::width, "width of the head's outputs").at_least(2);
  schema.add("momentum", &Options::momentum, "share of the teacher that a step keeps")
      .at_least(0)
      .at_most(1);
  schema.add("temperature", &Options::temperature, "divides the similarities").more_than(0);
  return schema;
}

class MomentumHead : public Pretext {
 public:
  // All buffers are made here, with their final names and shapes. The teacher begins as the
  // student.
  MomentumHead(const Options& options, const PretextContext& context) : options_(options) {
    student_ = module_->register_module("student", Linear(context.features, options.width));
    weight_ = module_->register_buffer("teacher_weight", student_->weight.detach().clone());
    bias_ = module_->register_buffer("teacher_bias", student_->bias.detach().clone());
  }

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::gathered; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const at::Tensor queries = student_(backbone.forward(batch.views[0]));
    // Clones: the graph may be used after `after_step` has changed the buffers.
    const at::Tensor keys =
        at::linear(backbone.forward(batch.views[1]), weight_.clone(), bias_.clone());
    const at::Tensor similarity = unit(queries).matmul(unit(keys).t()) / options_.temperature;
    const at::Tensor own = at::arange(queries.size(0), at::kLong).to(queries.device());
    return at::cross_entropy_loss(similarity, own);
  }

  // Without gradients, once after each step of the optimizer; never for Hessian products and
  // audits.
  void after_step(Backbone& /*backbone*/, const TrainingProgress& /*progress*/) override {
    weight_.mul_(options_.momentum).add_(student_->weight, 1 - options_.momentum);
    bias_.mul_(options_.momentum).add_(student_->bias, 1 - options_.momentum);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  static at::Tensor unit(const at::Tensor& rows) {
    return rows / (rows.square().sum(1, true) + 1e-6).sqrt();
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  Linear student_{nullptr};
  at::Tensor weight_;
  at::Tensor bias_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("momentum-head", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Pretext, MomentumHead>({.name = "momentum-head",
                                        .summary = "contrast with keys of a slowly moving head",
                                        .source = "He et al. 2020, arXiv 1911.05722, section 3.2"},
                                       schema());
}
