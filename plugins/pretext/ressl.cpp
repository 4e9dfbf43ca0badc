#include "components.h"
#include "momentum.h"
#include "projector.h"
#include "queue.h"
#include "vectors.h"

#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softmax.h>
#include <c10/core/GradMode.h>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {4096, 512};
  int64_t queue = 131072;
  double temperature = 0.1;
  double teacher_temperature = 0.04;
  MomentumOptions momentum{.momentum = 0.999, .momentum_end = 0.999};
};

constexpr ProjectorForm projector_form = {.last_bias = true};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, projector_form, Heads::with_teacher);
  add_queue(schema, &Options::queue,
            "embeddings of the teacher, of earlier batches, that each sample is compared with");
  schema.add("temperature", &Options::temperature, "divides the student's cosine similarities")
      .more_than(0);
  schema
      .add("teacher_temperature", &Options::teacher_temperature,
           "divides the teacher's: smaller than temperature, so that the targets are sharper")
      .more_than(0);
  schema.embed(&Options::momentum, momentum_schema());
  return schema;
}

/// The student sees the first view, the teacher the second, which the paper augments weakly.
class ReSsl : public Pretext {
 public:
  ReSsl(const Options& options, const PretextContext& context)
      : options_(options),
        projector_(module_->register_module("projector", make(context))),
        teacher_projector_(make(context)),
        teacher_(*module_, context, teacher_projector_.ptr(), *projector_),
        queue_(*module_, options.queue, options.projector.back()) {
    require_queue_fits("ressl", options.queue, context);
  }

  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    require_two_samples(batch.views[0], "ressl normalises over the samples of a batch");
    queue_.require_room("ressl", batch.views[0].size(0));
    const at::Tensor rows = queue_.rows();
    const at::Tensor student = unit(projector_->forward(backbone.forward(batch.views[0])));
    const at::Tensor targets = relations(batch.views[1], rows);
    const at::Tensor predictions =
        at::log_softmax(products(student, rows) / options_.temperature, 1);
    return -(targets * predictions).sum(1).mean();
  }

  void after_step(Backbone& backbone, const TrainingProgress& progress) override {
    teacher_.follow(backbone, *projector_, momentum_at(options_.momentum, progress));
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  torch::nn::Sequential make(const PretextContext& context) const {
    return make_projector(context.features, options_.projector, projector_form);
  }

  /// The targets, and the teacher's embeddings into the queue.
  at::Tensor relations(const at::Tensor& view, const at::Tensor& rows) {
    const c10::NoGradGuard no_grad;
    const at::Tensor keys = unit(teacher_projector_->forward(teacher_.backbone().forward(view)));
    queue_.push(keys);
    return at::softmax(products(keys, rows) / options_.teacher_temperature, 1);
  }

  Options options_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_;
  torch::nn::Sequential teacher_projector_;
  Teacher teacher_;
  VectorQueue queue_;
};

}  // namespace

void add_ressl(Registrar& registrar) {
  registrar.add<Pretext, ReSsl>(
      {.name = "ressl",
       .summary = "predicts how a slowly moving teacher relates the other view to earlier samples",
       .source = "Zheng et al. 2021, arXiv 2107.09282, section 3.2"},
      schema());
}

}  // namespace bissl
