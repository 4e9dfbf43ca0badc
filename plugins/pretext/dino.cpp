#include "components.h"
#include "dino_head.h"
#include "momentum.h"
#include "multi_crop.h"
#include "prototypes.h"

#include "bissl/error.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace bissl {
namespace {

struct Options {
  DinoHeadOptions head;
  double temperature = 0.1;
  double teacher_temperature = 0.04;
  double teacher_temperature_start = 0.04;
  int64_t teacher_temperature_warmup = 0;
  double centre_momentum = 0.9;
  int64_t freeze_prototypes = 0;
  MomentumOptions momentum{.momentum = 0.996, .momentum_end = 1.0};
};

Schema<DinoHeadOptions> head_schema() {
  Schema<DinoHeadOptions> schema;
  schema
      .add("hidden", &DinoHeadOptions::hidden,
           "widths of the head's hidden layers, student's and teacher's; GELU follows each")
      .at_least(1);
  schema
      .add("bottleneck", &DinoHeadOptions::bottleneck,
           "width behind the hidden layers, where vectors have length 1")
      .at_least(1);
  schema
      .add("prototypes", &DinoHeadOptions::prototypes,
           "outputs of the head, over which a softmax is taken")
      .at_least(2);
  schema.add("batch_norm", &DinoHeadOptions::batch_norm,
             "batch normalisation behind the hidden layers");
  schema.add("scale_prototypes", &DinoHeadOptions::scale_prototypes,
             "train the lengths of the last layer's rows; otherwise all are 1, which is more "
             "stable");
  return schema;
}

Schema<Options> schema() {
  Schema<Options> schema;
  schema.embed(&Options::head, head_schema());
  schema.add("temperature", &Options::temperature, "divides the student's outputs").more_than(0);
  schema
      .add("teacher_temperature", &Options::teacher_temperature,
           "divides the teacher's outputs: smaller sharpens the targets")
      .more_than(0);
  schema
      .add("teacher_temperature_start", &Options::teacher_temperature_start,
           "the same for the first training step of the task; it rises or falls linearly")
      .more_than(0)
      .only_above("teacher_temperature_warmup", 0);
  schema
      .add("teacher_temperature_warmup", &Options::teacher_temperature_warmup,
           "training steps of the task until teacher_temperature holds")
      .at_least(0)
      .unit("steps");
  schema
      .add("centre_momentum", &Options::centre_momentum,
           "share of the centre, a mean of the teacher's outputs, that a step keeps")
      .at_least(0)
      .less_than(1);
  schema
      .add("freeze_prototypes", &Options::freeze_prototypes,
           "training steps of the task before the last layer moves; the paper takes an epoch")
      .at_least(0)
      .unit("steps");
  schema.embed(&Options::momentum, momentum_schema());
  return schema;
}

/// Algorithm 1 with multi-crop: the teacher sees the first two views, the student all.
class Dino : public Pretext {
 public:
  Dino(const Options& options, const PretextContext& context)
      : options_(options),
        views_(declared_views(context)),
        head_(module_->register_module("head", DinoHead(context.features, options.head))),
        teacher_head_(DinoHead(context.features, options.head)),
        teacher_(*module_, context, teacher_head_.ptr(), *head_),
        centre_(module_->register_buffer("centre", at::zeros({1, options.head.prototypes}))),
        age_(module_->register_buffer("age", at::zeros({}, at::kLong))) {
    require_full_size_first(context.views, "targets are made");
    require_prototypes("dino", options.head.prototypes, context);
  }

  int64_t views() const override { return views_; }
  BatchCoupling coupling() const override { return BatchCoupling::batch_statistics; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const int64_t age = age_.item<int64_t>();
    const TensorList targets = this->targets({batch.views[0], batch.views[1]}, age);
    const at::Tensor outputs =
        head_->forward(features_of_all(backbone, batch.views), age < options_.freeze_prototypes);
    const TensorList predictions = at::log_softmax(outputs / options_.temperature, 1).chunk(views_);
    at::Tensor sum = at::zeros({}, outputs.options().requires_grad(false));
    for (int64_t view = 0; view < full_size_views; ++view) {
      for (int64_t other = 0; other < views_; ++other) {
        if (other != view) {
          sum = sum - (targets[view] * predictions[other]).sum(1).mean();
        }
      }
    }
    return sum / double(full_size_views * (views_ - 1));
  }

  void after_step(Backbone& backbone, const TrainingProgress& progress) override {
    teacher_.follow(backbone, *head_, momentum_at(options_.momentum, progress));
    age_.add_(1);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  double teacher_temperature(int64_t age) const {
    const int64_t warmup = options_.teacher_temperature_warmup;
    const double part = warmup == 0 ? 1.0 : std::min(1.0, double(age) / double(warmup));
    return options_.teacher_temperature_start +
           part * (options_.teacher_temperature - options_.teacher_temperature_start);
  }

  /// The centred and sharpened outputs of the teacher, of each full-size view. Equation 4 moves the
  /// centre.
  TensorList targets(const Views& views, int64_t age) {
    const c10::NoGradGuard no_grad;
    const at::Tensor outputs = teacher_head_->forward(features_of_all(teacher_.backbone(), views));
    const at::Tensor targets = at::softmax((outputs - centre_) / teacher_temperature(age), 1);
    const double kept = options_.centre_momentum;
    centre_.mul_(kept).add_(outputs.mean({0}, /*keepdim=*/true), 1.0 - kept);
    return targets.chunk(full_size_views);
  }

  Options options_;
  int64_t views_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  DinoHead head_;
  DinoHead teacher_head_;
  Teacher teacher_;
  at::Tensor centre_;  ///< (1, prototypes)
  at::Tensor age_;     ///< training steps, those of earlier stages included
};

}  // namespace

void add_dino(Registrar& registrar) {
  registrar.add<Pretext, Dino>(
      {.name = "dino",
       .summary = "predicts the centred and sharpened outputs of a slowly moving teacher",
       .source = "Caron et al. 2021, arXiv 2104.14294, equations 1 to 4 and algorithm 1"},
      schema());
}

}  // namespace bissl
