#include "multi_crop.h"
#include "projector.h"
#include "prototypes.h"
#include "queue.h"
#include "sinkhorn.h"
#include "vectors.h"

#include "bissl/error.h"
#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace bissl {
namespace {

struct Options {
  std::vector<int64_t> projector = {2048, 128};
  int64_t prototypes = 3000;
  double temperature = 0.1;
  double epsilon = 0.05;
  int64_t sinkhorn_iterations = 3;
  int64_t queue = 0;
  int64_t queue_after = 0;
  int64_t freeze_prototypes = 0;
};

constexpr ProjectorForm projector_form = {.last_bias = true};

Schema<Options> schema() {
  Schema<Options> schema;
  add_projector(schema, &Options::projector, projector_form);
  schema.add("prototypes", &Options::prototypes, "vectors that the samples are assigned to")
      .at_least(2);
  schema.add("temperature", &Options::temperature, "divides the similarities of the prediction")
      .more_than(0);
  schema
      .add("epsilon", &Options::epsilon,
           "divides the similarities of the assignment: larger spreads a sample over more "
           "prototypes")
      .more_than(0);
  schema
      .add("sinkhorn_iterations", &Options::sinkhorn_iterations,
           "how often the assignment is made even over prototypes and samples")
      .at_least(1);
  schema
      .add("queue", &Options::queue,
           "samples of earlier batches that take part in the assignment, for each of its views; 0 "
           "for none")
      .at_least(0)
      .unit("samples");
  schema
      .add("queue_after", &Options::queue_after,
           "training steps of the task before the queue is filled; it is used once it is full")
      .at_least(0)
      .unit("steps")
      .only_above("queue", 0);
  schema
      .add("freeze_prototypes", &Options::freeze_prototypes,
           "training steps of the task before the prototypes move")
      .at_least(0)
      .unit("steps");
  return schema;
}

class SwAv : public Pretext {
 public:
  SwAv(const Options& options, const PretextContext& context)
      : options_(options), views_(declared_views(context)) {
    require_full_size_first(context.views, "assignments are made");
    require_prototypes("swav", options.prototypes, context);
    const int64_t width = options.projector.back();
    projector_ = make_projector(context.features, options.projector, projector_form);
    module_->register_module("projector", projector_);
    prototypes_ = module_->register_module(
        "prototypes", Linear(torch::nn::LinearOptions(width, options.prototypes).bias(false)));
    age_ = module_->register_buffer("age", at::zeros({}, at::kLong));
    if (options.queue > 0) {
      require_queue_fits("swav", options.queue, context);
      queue_ =
          module_->register_buffer("queue", at::zeros({full_size_views, options.queue, width}));
      queued_ = module_->register_buffer("queued", at::zeros({}, at::kLong));
    }
    normalise_prototypes();
  }

  int64_t views() const override { return views_; }
  BatchCoupling coupling() const override { return BatchCoupling::batch_statistics; }
  bool holds_targets_fixed() const override { return true; }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    const Views& views = batch.views;
    require_two_samples(views[0], "swav spreads the samples of a batch over prototypes");
    if (queue_.defined()) {
      require_queue_holds("swav", options_.queue, views[0].size(0));
    }
    // Before the networks: what a GPU has queued by now is short, and these wait for it.
    const int64_t age = age_.item<int64_t>();
    const bool full = queue_.defined() && queued_.item<int64_t>() >= options_.queue;
    const at::Tensor embeddings = unit(projector_->forward(features_of_all(backbone, views)));
    const bool frozen = age < options_.freeze_prototypes;
    const at::Tensor& weight = prototypes_->weight;
    const auto similarities =
        at::linear(embeddings, frozen ? weight.detach() : weight).chunk(views_);
    std::vector<at::Tensor> predictions;
    for (const at::Tensor& similarity : similarities) {
      predictions.push_back(at::log_softmax(similarity / options_.temperature, 1));
    }
    at::Tensor sum = at::zeros({}, embeddings.options());
    const auto vectors = embeddings.detach().chunk(views_);
    for (int64_t view = 0; view < full_size_views; ++view) {
      const at::Tensor assignment = assign(view, similarities[view].detach(), full);
      for (int64_t other = 0; other < views_; ++other) {
        if (other != view) {
          sum = sum - (assignment * predictions[other]).sum(1).mean();
        }
      }
    }
    if (queue_.defined() && age >= options_.queue_after) {
      enqueue(vectors);
    }
    return sum / double(full_size_views * (views_ - 1));
  }

  // The published code does this before each step, which is the same.
  void after_step(Backbone& /*backbone*/, const TrainingProgress& /*progress*/) override {
    normalise_prototypes();
    age_.add_(1);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  void normalise_prototypes() {
    const c10::NoGradGuard no_grad;
    prototypes_->weight.copy_(unit(prototypes_->weight));
  }

  /// Of a view's samples, with those of the queue, once that is full, to make it even.
  at::Tensor assign(int64_t view, const at::Tensor& similarities, bool full) const {
    const c10::NoGradGuard no_grad;
    at::Tensor all = similarities;
    if (full) {
      all = at::cat({similarities, at::linear(queue_[view], prototypes_->weight)});
    }
    return sinkhorn(all, options_.epsilon, options_.sinkhorn_iterations)
        .narrow(0, 0, similarities.size(0));
  }

  /// Puts the batch before what is in the queue, whose end drops out.
  void enqueue(const std::vector<at::Tensor>& vectors) {
    const c10::NoGradGuard no_grad;
    for (int64_t view = 0; view < full_size_views; ++view) {
      const at::Tensor longer = at::cat({vectors[view], queue_[view]});
      queue_[view].copy_(longer.narrow(0, 0, options_.queue));
    }
    queued_.add_(vectors[0].size(0)).clamp_max_(options_.queue);
  }

  Options options_;
  int64_t views_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential projector_{nullptr};
  Linear prototypes_{nullptr};
  at::Tensor age_;     ///< training steps, those of earlier stages included
  at::Tensor queue_;   ///< (2, length, width), the newest first; undefined without one
  at::Tensor queued_;  ///< rows of it that are filled
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("swav", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Pretext, SwAv>(
      {.name = "swav",
       .summary = "predicts from each view which prototypes another view of the image has",
       .source = "Caron et al. 2020, arXiv 2006.09882, equations 1 to 3 and section 3.2"},
      schema());
}
