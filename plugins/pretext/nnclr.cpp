#include "components.h"
#include "contrast.h"
#include "projector.h"
#include "queue.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {2048, 2048, 256};
  std::vector<int64_t> predictor = {4096};
  int64_t queue = 98304;
  double temperature = 0.1;
};

constexpr ProjectorForm projector_form = {.last = ProjectorForm::LastNorm::affine};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, projector_form);
  add_predictor(schema, &Options::predictor);
  add_queue(schema, &Options::queue,
            "embeddings of earlier batches among which the nearest is looked for");
  schema.add("temperature", &Options::temperature, "divides the cosine similarities").more_than(0);
  return schema;
}

/// The queue is the paper's support set. It takes the embeddings of the first view.
class Nnclr : public Pretext {
 public:
  Nnclr(const Options& options, const PretextContext& context)
      : options_(options),
        projector_(module_->register_module(
            "projector", make_projector(context.features, options.projector, projector_form))),
        predictor_(module_->register_module(
            "predictor", make_projector(options.projector.back(),
                                        followed_by(options.predictor, options.projector.back()),
                                        {.last_bias = true}))),
        queue_(*module_, options.queue, options.projector.back()) {
    require_queue_fits("nnclr", options.queue, context);
  }

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::gathered; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], "nnclr compares the samples of a batch");
    queue_.require_room("nnclr", batch.views[0].size(0));
    const at::Tensor first = projector_->forward(backbone.forward(batch.views[0]));
    const at::Tensor second = projector_->forward(backbone.forward(batch.views[1]));
    const at::Tensor rows = queue_.rows();
    const at::Tensor loss =
        0.5 * (contrast(nearest(rows, first), second) + contrast(nearest(rows, second), first));
    queue_.push(unit(first.detach()));
    return loss;
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  /// Equation 3: that row of the support set for each embedding. It is a constant but where the
  /// nearest row changes, which has no derivative.
  static at::Tensor nearest(const at::Tensor& rows, const at::Tensor& embeddings) {
    const c10::NoGradGuard no_grad;
    return rows.index_select(0, products(unit(embeddings), rows).argmax(1));
  }

  at::Tensor contrast(const at::Tensor& neighbours, const at::Tensor& embeddings) {
    return info_nce(neighbours, unit(predictor_->forward(embeddings)), options_.temperature);
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_;
  torch::nn::Sequential predictor_;
  VectorQueue queue_;
};

}  // namespace

void add_nnclr(Registrar& registrar) {
  registrar.add<Pretext, Nnclr>(
      {.name = "nnclr",
       .summary = "contrasts the nearest neighbour of one view, from a queue, with the other view",
       .source = "Dwibedi et al. 2021, arXiv 2104.14548, equations 3 and 4"},
      schema());
}

}  // namespace bissl
