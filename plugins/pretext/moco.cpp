#include "components.h"
#include "momentum.h"
#include "projector.h"
#include "queue.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {2048, 128};
  int64_t queue = 65536;
  double temperature = 0.2;
  MomentumOptions momentum{.momentum = 0.999, .momentum_end = 0.999};
};

constexpr ProjectorForm projector_form = {.normalise = false, .last_bias = true};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, projector_form, Heads::with_teacher);
  add_queue(
      schema, &Options::queue,
      "keys of earlier batches that each query is contrasted with; not more than the data has "
      "samples");
  schema.add("temperature", &Options::temperature, "divides the cosine similarities").more_than(0);
  schema.embed(&Options::momentum, momentum_schema());
  return schema;
}

/// Algorithm 1 of arXiv 1911.05722 with the head of arXiv 2003.04297. The teacher is the paper's
/// momentum encoder. Its batches are not shuffled: on one device that would change nothing.
class Moco : public Pretext {
 public:
  Moco(const Options& options, const PretextContext& context)
      : options_(options),
        projector_(module_->register_module("projector", make(context))),
        teacher_projector_(make(context)),
        teacher_(*module_, context, teacher_projector_.ptr(), *projector_),
        queue_(*module_, options.queue, options.projector.back()) {
    require_queue_fits("moco", options.queue, context);
  }

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    queue_.require_room("moco", batch.views[0].size(0));
    const at::Tensor queries = unit(projector_->forward(backbone.forward(batch.views[0])));
    const at::Tensor keys = this->keys(batch.views[1]);
    const at::Tensor similarities =
        at::cat({(queries * keys).sum(1, /*keepdim=*/true), products(queries, queue_.rows())}, 1);
    queue_.push(keys);
    const at::Tensor own = at::zeros({queries.size(0)}, queries.options().dtype(at::kLong));
    return at::cross_entropy_loss(similarities / options_.temperature, own);
  }

  void after_step(Backbone& backbone, const TrainingProgress& progress) override {
    teacher_.follow(backbone, *projector_, momentum_at(options_.momentum, progress));
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  torch::nn::Sequential make(const PretextContext& context) const {
    return make_projector(context.features, options_.projector, projector_form);
  }

  at::Tensor keys(const at::Tensor& view) {
    const c10::NoGradGuard no_grad;
    return unit(teacher_projector_->forward(teacher_.backbone().forward(view)));
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_;
  torch::nn::Sequential teacher_projector_;
  Teacher teacher_;
  VectorQueue queue_;
};

}  // namespace

void add_moco(Registrar& registrar) {
  registrar.add<Pretext, Moco>(
      {.name = "moco",
       .summary = "contrasts with a queue of keys of a slowly moving teacher (MoCo v2)",
       .source = "He et al. 2020, arXiv 1911.05722, equation 1 and algorithm 1; Chen et al. 2020, "
                 "arXiv 2003.04297"},
      schema());
}

}  // namespace bissl
