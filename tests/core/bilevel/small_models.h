#pragma once

#include "bissl/backbone.h"
#include "bissl/downstream.h"
#include "bissl/optimizer.h"
#include "bissl/pretext.h"

#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <memory>

// Small models in double precision, for numbers that can be checked against dense algebra.
namespace bissl::host::test {

/// Two tanh layers with batch normalisation between: 4 inputs, 3 features, 35 parameters.
class SmallBackbone : public Backbone {
 public:
  SmallBackbone();
  at::Tensor forward(const at::Tensor& images) override;
  int64_t features() const override { return 3; }
  torch::nn::Module& module() override { return *module_; }
  torch::nn::BatchNorm1d& normalisation() { return normalisation_; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
  torch::nn::Linear first_{nullptr};
  torch::nn::BatchNorm1d normalisation_{nullptr};
  torch::nn::Linear second_{nullptr};
};

/// A loss that couples the samples, has a head of its own, and draws noise (if asked to).
class SmallPretext : public Pretext {
 public:
  explicit SmallPretext(double noise = 0.0);
  int64_t views() const override { return 2; }
  BatchCoupling coupling() const override { return BatchCoupling::gathered; }
  at::Tensor loss(Backbone& backbone, const Batch& batch) override;
  torch::nn::Module& module() override { return *module_; }

 private:
  double noise_;
  std::shared_ptr<torch::nn::Module> module_;
  torch::nn::Linear head_{nullptr};
};

/// A linear classifier of two classes.
class SmallDownstream : public Downstream {
 public:
  SmallDownstream();
  at::Tensor forward(const at::Tensor& features) override { return head_->forward(features); }
  at::Tensor loss(const at::Tensor& outputs, const TargetBatch& targets) override;
  std::vector<MetricInfo> metric_info() const override { return {}; }
  std::unique_ptr<MetricAccumulator> metrics() const override { return nullptr; }
  torch::nn::Module& module() override { return *module_; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
  torch::nn::Linear head_{nullptr};
};

/// θ ← θ − lr·lr_scale·g.
class PlainDescent : public Optimizer {
 public:
  PlainDescent(NamedTensors parameters, double lr) : parameters_(std::move(parameters)), lr_(lr) {}
  void step(double lr_scale) override;
  double learning_rate() const override { return lr_; }
  NamedTensors state() const override { return {}; }
  void load_state(const NamedTensors& /*state*/) override {}

 private:
  NamedTensors parameters_;
  double lr_;
};

/// Views of (N, 4) and targets (N) that are the same in every run.
Views small_views(int64_t views, int64_t samples);
TargetBatch small_targets(int64_t samples);

}  // namespace bissl::host::test
