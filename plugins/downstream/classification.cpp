#include "bissl/downstream.h"
#include "bissl/modules.h"
#include "bissl/plugin.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/relu.h>
#include <torch/nn/modules/linear.h>

namespace bissl {
namespace {

struct Options {
  double label_smoothing = 0.0;
  std::vector<int64_t> hidden;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("label_smoothing", &Options::label_smoothing,
           "share of the target probability that is spread over all classes")
      .at_least(0)
      .less_than(1);
  schema
      .add("hidden", &Options::hidden,
           "widths of hidden layers before the last one, each with a ReLU; none: a linear head")
      .at_least(1)
      .unit("units");
  return schema;
}

/// Top-1 and top-5 accuracy, and the mean cross entropy.
class Accuracy : public MetricAccumulator {
 public:
  explicit Accuracy(int64_t classes) : classes_(classes) {}

  void add(const at::Tensor& outputs, const TargetBatch& batch) override {
    const at::Tensor& targets = batch.dense;
    const at::Tensor expected = targets.unsqueeze(1);
    // The rank of the true class. A class whose logit is not smaller counts as ranked before it:
    // constant or NaN outputs score nothing rather than everything.
    const at::Tensor truth = outputs.gather(1, expected);
    const at::Tensor rank = outputs.lt(truth).logical_not().sum(1) - 1;
    top1_ += rank.lt(1).sum().item<int64_t>();
    top5_ += rank.lt(5).sum().item<int64_t>();
    loss_ += at::cross_entropy_loss(outputs, targets).item<double>() *
             static_cast<double>(targets.size(0));
    count_ += targets.size(0);
  }

  Metrics result() const override {
    const auto mean = [this](double sum) {
      return count_ == 0 ? 0.0 : sum / static_cast<double>(count_);
    };
    Metrics metrics{{"top1", mean(static_cast<double>(top1_))}};
    if (classes_ > 5) {
      metrics.emplace_back("top5", mean(static_cast<double>(top5_)));
    }
    metrics.emplace_back("loss", mean(loss_));
    return metrics;
  }

 private:
  int64_t classes_;
  int64_t top1_ = 0;
  int64_t top5_ = 0;
  int64_t count_ = 0;
  double loss_ = 0.0;
};

/// A linear layer called "fc", as in torchvision's networks, behind hidden layers called "hidden0",
/// "hidden1", … where there are any, with the cross entropy.
class Classification : public Downstream {
 public:
  Classification(const Options& options, const DownstreamContext& context)
      : options_(options),
        classes_(context.targets.width),
        module_(std::make_shared<torch::nn::Module>()) {
    if (classes_ < 2) {
      fail_input("classification needs at least 2 classes; the data has {}", classes_);
    }
    int64_t width = context.features;
    for (size_t i = 0; i < options_.hidden.size(); ++i) {
      hidden_.push_back(module_->register_module("hidden" + std::to_string(i),
                                                 Linear(width, options_.hidden[i])));
      width = options_.hidden[i];
    }
    fc_ = module_->register_module("fc", torch::nn::Linear(width, classes_));
  }

  at::Tensor forward(const at::Tensor& features) override {
    at::Tensor x = features;
    for (Linear& layer : hidden_) {
      x = at::relu(layer(x));
    }
    return fc_->forward(x);
  }

  at::Tensor loss(const at::Tensor& outputs, const TargetBatch& targets) override {
    return at::cross_entropy_loss(outputs, targets.dense, /*weight=*/{}, at::Reduction::Mean,
                                  /*ignore_index=*/-100, options_.label_smoothing);
  }

  std::vector<MetricInfo> metric_info() const override {
    std::vector<MetricInfo> info{{.name = "top1",
                                  .doc = "share of samples whose class has the largest logit",
                                  .higher_is_better = true,
                                  .lowest = 0.0,
                                  .highest = 1.0}};
    if (classes_ > 5) {
      info.push_back({.name = "top5",
                      .doc = "share of samples whose class is among the five largest logits",
                      .higher_is_better = true,
                      .lowest = 0.0,
                      .highest = 1.0});
    }
    info.push_back({.name = "loss",
                    .doc = "mean cross entropy, without label smoothing",
                    .higher_is_better = false,
                    .lowest = 0.0,
                    .highest = {}});
    return info;
  }

  std::unique_ptr<MetricAccumulator> metrics() const override {
    return std::make_unique<Accuracy>(classes_);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  Options options_;
  int64_t classes_;
  std::shared_ptr<torch::nn::Module> module_;
  std::vector<Linear> hidden_;
  torch::nn::Linear fc_{nullptr};
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("classification", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Downstream, Classification>(
      {.name = "classification",
       .summary =
           "one class per image: linear or deeper head, cross entropy, top-1 and top-5 accuracy",
       .source = "",
       .takes = {TargetKind::category}},
      schema());
}
