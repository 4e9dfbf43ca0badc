#include "components.h"
#include "projector.h"
#include "sinkhorn.h"
#include "vectors.h"

#include "bissl/error.h"
#include "bissl/modules.h"
#include "bissl/plugin.h"
#include "bissl/pretext.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>

namespace bissl {
namespace {

struct Options {
  int64_t labels = 128;
  std::vector<int64_t> hidden = {};
  double relabel_every = 1.0;
  double sharpness = 25.0;
  int64_t sinkhorn_iterations = 20;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("labels", &Options::labels,
           "labels that the samples are spread over; the paper has from 128 for CIFAR to 3000 for "
           "ImageNet")
      .at_least(2);
  add_hidden(schema, "hidden", &Options::hidden,
             "widths of hidden layers, with batch normalisation and ReLU, between the features and "
             "the classifier of labels. The last one is the width of what is kept of each sample");
  schema
      .add("relabel_every", &Options::relabel_every,
           "passes over the data between two assignments of labels")
      .more_than(0)
      .unit("epochs");
  schema
      .add("sharpness", &Options::sharpness,
           "the power λ of the predicted probabilities in the assignment: larger follows them more "
           "closely before labels are made even")
      .more_than(0);
  schema
      .add("sinkhorn_iterations", &Options::sinkhorn_iterations,
           "how often an assignment is made even over labels and samples")
      .at_least(1);
  return schema;
}

/// The labels begin as the samples' numbers modulo their count, which has nothing to do with what
/// the images show, as the paper's random ones have not. What is assigned from are the features
/// that training itself saw last of each sample; the published code makes a pass over the data for
/// them.
class SeLa : public Pretext {
 public:
  SeLa(const Options& options, const PretextContext& context)
      : options_(options), samples_(context.samples) {
    if (options.labels > samples_) {
      fail_input("sela: labels = {} is more than the {} samples of the data. Take fewer labels",
                 options.labels, samples_);
    }
    if (options.labels < context.classes) {
      fail_input(
          "sela: labels = {} is fewer than the {} classes of the data: samples of several classes "
          "would have to share one. Take more labels",
          options.labels, context.classes);
    }
    int64_t width = context.features;
    hidden_ = module_->register_module("hidden", torch::nn::Sequential());
    for (const int64_t next : options.hidden) {
      hidden_->push_back(Linear(width, next));
      hidden_->push_back(BatchNorm(next));
      hidden_->push_back(torch::nn::ReLU());
      width = next;
    }
    classifier_ = module_->register_module("classifier", Linear(width, options.labels));
    features_ = module_->register_buffer("features", at::zeros({samples_, width}));
    seen_ = module_->register_buffer("seen", at::zeros({samples_}, at::kBool));
    labels_ = module_->register_buffer("labels",
                                       at::arange(samples_, at::kLong).remainder(options.labels));
    since_ = module_->register_buffer("since", at::zeros({}, at::kLong));
  }

  int64_t views() const override { return 1; }
  BatchCoupling coupling() const override { return BatchCoupling::separable; }

  void before_step(const TrainingProgress& /*progress*/) override {
    if (double(since_.item<int64_t>()) >= options_.relabel_every * double(samples_)) {
      relabel();
      since_.zero_();
    }
  }

  at::Tensor loss(Backbone& backbone, const Batch& batch) override {
    if (!options_.hidden.empty()) {
      require_two_samples(batch.views[0],
                          "sela's hidden layers normalise over the samples of a batch");
    }
    at::Tensor features = backbone.forward(batch.views[0]);
    if (!options_.hidden.empty()) {
      features = hidden_->forward(features);
    }
    const at::Tensor labels = labels_.index_select(0, batch.indices);
    keep(features.detach(), batch.indices);
    return at::cross_entropy_loss(classifier_(features), labels);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  void keep(const at::Tensor& features, const at::Tensor& indices) {
    const c10::NoGradGuard no_grad;
    features_.index_copy_(0, indices, features);
    seen_.index_fill_(0, indices, true);
    since_.add_(indices.size(0));
  }

  /// Equations 5 to 8: of all assignments that use each label equally often, the likeliest one of
  /// the samples that were seen.
  void relabel() {
    const at::Tensor known = seen_.nonzero().flatten();
    const at::Tensor logits = classifier_(features_.index_select(0, known));
    const at::Tensor shares =
        sinkhorn(logits, 1.0 / options_.sharpness, options_.sinkhorn_iterations);
    labels_.index_copy_(0, known, shares.argmax(1));
  }

  Options options_;
  int64_t samples_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Sequential hidden_{nullptr};
  Linear classifier_{nullptr};
  at::Tensor features_;  ///< (samples, width): what training saw last of each
  at::Tensor seen_;      ///< (samples): whether it has seen it
  at::Tensor labels_;    ///< (samples)
  at::Tensor since_;     ///< samples trained on since labels were assigned
};

}  // namespace

void add_sela(Registrar& registrar) {
  registrar.add<Pretext, SeLa>(
      {.name = "sela",
       .summary = "tells the label of each image, which are assigned evenly from the predictions",
       .source = "Asano, Rupprecht and Vedaldi 2020, arXiv 1911.05371, equations 1 to 8"},
      schema());
}

}  // namespace bissl
