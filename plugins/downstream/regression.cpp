#include "bissl/downstream.h"
#include "bissl/error.h"
#include "bissl/plugin.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bissl {
namespace {

struct Options {
  std::vector<double> mean;
  std::vector<double> std;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema.add("mean", &Options::mean,
             "of each value in the training data, in the order of the targets: the head learns "
             "(value - mean) / std; empty for 0");
  schema
      .add("std", &Options::std,
           "standard deviation of each value in the training data; empty for 1")
      .more_than(0);
  return schema;
}

/// Sums over what counts of one of the values.
struct Column {
  double count = 0;
  double mean = 0;     ///< of the targets
  double scatter = 0;  ///< sum of their squared distances to that mean
  double squared = 0;  ///< sum of squared errors
  double absolute = 0;

  /// Welford's update: no sum of squares that could cancel.
  void add(double output, double target) {
    ++count;
    const double before = target - mean;
    mean += before / count;
    scatter += before * (target - mean);
    squared += (output - target) * (output - target);
    absolute += std::abs(output - target);
  }
};

/// Errors in the targets' own units and the share of their variance that is explained. Needs memory
/// for a few sums of each value.
class Errors : public MetricAccumulator {
 public:
  explicit Errors(int64_t values) : columns_(static_cast<size_t>(values)) {}

  void add(const at::Tensor& outputs, const TargetBatch& targets) override {
    const at::Tensor found = outputs.detach().to(at::kCPU, at::kDouble).contiguous();
    const at::Tensor known = targets.dense.to(at::kCPU, at::kDouble).contiguous();
    const double* output = found.data_ptr<double>();
    const double* target = known.data_ptr<double>();
    for (int64_t sample = 0; sample < found.size(0); ++sample) {
      for (Column& column : columns_) {
        if (!std::isnan(*target)) {
          column.add(*output, *target);
        }
        ++output;
        ++target;
      }
    }
  }

  Metrics result() const override {
    Column all;
    double explained = 0;
    double varying = 0;
    for (const Column& column : columns_) {
      all.count += column.count;
      all.squared += column.squared;
      all.absolute += column.absolute;
      if (column.scatter > 0) {  // otherwise there is no variance to explain
        explained += 1 - column.squared / column.scatter;
        ++varying;
      }
    }
    const auto mean = [](double sum, double count) {
      return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
    };
    return {{"mse", mean(all.squared, all.count)},
            {"mae", mean(all.absolute, all.count)},
            {"r2", mean(explained, varying)}};
  }

 private:
  std::vector<Column> columns_;
};

/// A linear layer called "fc", whose outputs are scaled to the targets' units.
class Regression : public Downstream {
 public:
  Regression(const Options& options, const DownstreamContext& context)
      : values_(context.targets.width) {
    fc_ = module_->register_module("fc", torch::nn::Linear(context.features, values_));
    // Buffers, so that they follow the module's device and precision.
    mean_ = register_constants("mean", options.mean);
    std_ = register_constants("std", options.std);
  }

  at::Tensor forward(const at::Tensor& features) override {
    at::Tensor outputs = fc_->forward(features);
    outputs = std_.defined() ? outputs * std_ : outputs;
    return mean_.defined() ? outputs + mean_ : outputs;
  }

  at::Tensor loss(const at::Tensor& outputs, const TargetBatch& targets) override {
    const at::Tensor counted = targets.counted();
    at::Tensor error = outputs - targets.known().to(outputs.scalar_type());
    error = std_.defined() ? error / std_ : error;
    return (error.square() * counted).sum() / counted.sum().clamp_min(1);
  }

  std::vector<MetricInfo> metric_info() const override {
    return {{.name = "mse",
             .doc = "mean squared error, in the targets' units",
             .higher_is_better = false,
             .lowest = 0.0,
             .highest = {}},
            {.name = "mae",
             .doc = "mean absolute error, in the targets' units",
             .higher_is_better = false,
             .lowest = 0.0,
             .highest = {}},
            {.name = "r2",
             .doc = "R²: 1 - squared errors / squared distances to the mean, averaged over the "
                    "values",
             .higher_is_better = true,
             .lowest = {},
             .highest = 1.0}};
  }

  std::unique_ptr<MetricAccumulator> metrics() const override {
    return std::make_unique<Errors>(values_);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  at::Tensor register_constants(const char* name, const std::vector<double>& values) {
    if (values.empty()) {
      return {};
    }
    if (static_cast<int64_t>(values.size()) != values_) {
      fail_input("{} has {} numbers, but the data has {} values as targets; give one for each",
                 name, values.size(), values_);
    }
    return module_->register_buffer(name, at::tensor(values, at::kFloat));
  }

  int64_t values_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Linear fc_{nullptr};
  at::Tensor mean_;
  at::Tensor std_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("regression", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Downstream, Regression>(
      {.name = "regression",
       .summary = "numbers per image: linear head, squared error, R²",
       .source = "",
       .takes = {TargetKind::values}},
      schema());
}
