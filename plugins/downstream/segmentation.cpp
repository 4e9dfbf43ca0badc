#include "bissl/backbone_abilities.h"
#include "bissl/downstream.h"
#include "bissl/downstream_abilities.h"
#include "bissl/modules.h"
#include "bissl/plugin.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/module.h>

#include <limits>

namespace bissl {
namespace {

/// The value of pixels that do not count (bissl/targets.h).
constexpr int64_t ignored = 255;

struct Options {
  int64_t levels = 3;
};

Schema<Options> schema() {
  Schema<Options> schema;
  schema
      .add("levels", &Options::levels,
           "how many of the backbone's feature maps are read, from the coarsest on: 1 is FCN-32s, "
           "3 FCN-8s of a network whose coarsest map has stride 32")
      .at_least(1)
      .unit("maps");
  return schema;
}

/// The cross entropy of the pixels that count, summed.
at::Tensor summed_loss(const at::Tensor& outputs, const at::Tensor& targets) {
  return at::cross_entropy_loss(outputs, targets, /*weight=*/{}, at::Reduction::Sum, ignored);
}

/// Counts of pixels by true and predicted class, and the sum of their losses.
class Confusion : public MetricAccumulator {
 public:
  explicit Confusion(int64_t classes)
      : classes_(classes), counts_(at::zeros({classes, classes}, at::kLong)) {}

  void add(const at::Tensor& outputs, const TargetBatch& batch) override {
    const at::Tensor counts = batch.dense.ne(ignored);
    const at::Tensor truth = batch.dense.masked_select(counts);
    const at::Tensor guess = outputs.argmax(1).masked_select(counts);
    counts_ += at::bincount(truth * classes_ + guess, {}, classes_ * classes_)
                   .view({classes_, classes_})
                   .to(at::kCPU);
    loss_ += summed_loss(outputs, batch.dense).item<double>();
  }

  /// A class that is neither there nor predicted has no IoU and is left out of the mean.
  Metrics result() const override {
    const at::Tensor right = counts_.diagonal().to(at::kDouble);
    const at::Tensor united = (counts_.sum(0) + counts_.sum(1)).to(at::kDouble) - right;
    const auto pixels = counts_.sum().item<double>();
    const at::Tensor seen = united.gt(0);
    const auto share = [](double part, double whole) {
      return whole > 0 ? part / whole : std::numeric_limits<double>::quiet_NaN();
    };
    const auto iou = right.div(united.clamp_min(1)).sum().item<double>();
    return {{"miou", share(iou, seen.sum().item<double>())},
            {"pixel_accuracy", share(right.sum().item<double>(), pixels)},
            {"loss", share(loss_, pixels)}};
  }

 private:
  int64_t classes_;
  at::Tensor counts_;  ///< (K, K), rows by the true class
  double loss_ = 0;
};

/// A 1×1 convolution on each of the coarsest maps, brought to the size of the next finer one and
/// added there, and at last to that of the images: the fully convolutional head.
class Segmentation : public Downstream, public MapHead {
 public:
  Segmentation(const Options& options, const DownstreamContext& context)
      : classes_(context.targets.width), module_(std::make_shared<torch::nn::Module>()) {
    if (classes_ < 2) {
      fail_input("segmentation needs at least 2 classes; the data has {}", classes_);
    }
    const std::vector<FeatureMaps::Level> levels = context.require<FeatureMaps>().map_levels();
    const auto wanted = static_cast<size_t>(options.levels);
    if (wanted > levels.size()) {
      fail_input("segmentation reads levels = {} feature maps; {} has {}", options.levels,
                 context.backbone_name, levels.size());
    }
    first_ = levels.size() - wanted;
    for (size_t i = first_; i < levels.size(); ++i) {
      scores_.push_back(module_->register_module(
          "score" + std::to_string(i),
          Conv2d(torch::nn::Conv2dOptions(levels[i].channels, classes_, 1))));
    }
  }

  void* capability(std::string_view id) override { return provide<MapHead>(*this, id); }

  at::Tensor forward_maps(const TensorList& maps, const ImageShape& images) override {
    at::Tensor sum;
    for (size_t i = scores_.size(); i-- > 0;) {
      const at::Tensor& map = maps[first_ + i];
      const at::Tensor scores = scores_[i](map);
      sum = sum.defined() ? scores + resized(sum, map.size(2), map.size(3)) : scores;
    }
    return resized(sum, images.height, images.width);
  }

  at::Tensor loss(const at::Tensor& outputs, const TargetBatch& targets) override {
    const at::Tensor pixels = targets.dense.ne(ignored).sum().clamp_min(1);
    return summed_loss(outputs, targets.dense) / pixels;
  }

  std::vector<MetricInfo> metric_info() const override {
    return {{.name = "miou",
             .doc = "mean over classes of the intersection of true and predicted pixels over their "
                    "union",
             .higher_is_better = true,
             .lowest = 0.0,
             .highest = 1.0},
            {.name = "pixel_accuracy",
             .doc = "share of pixels whose class has the largest logit",
             .higher_is_better = true,
             .lowest = 0.0,
             .highest = 1.0},
            {.name = "loss",
             .doc = "mean cross entropy of the pixels",
             .higher_is_better = false,
             .lowest = 0.0,
             .highest = {}}};
  }

  std::unique_ptr<MetricAccumulator> metrics() const override {
    return std::make_unique<Confusion>(classes_);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  static at::Tensor resized(const at::Tensor& map, int64_t height, int64_t width) {
    return map.size(2) == height && map.size(3) == width
               ? map
               : at::upsample_bilinear2d(map, {height, width}, /*align_corners=*/false);
  }

  int64_t classes_;
  std::shared_ptr<torch::nn::Module> module_;
  size_t first_ = 0;  ///< the finest level that is read
  std::vector<Conv2d> scores_;
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("segmentation", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Downstream, Segmentation>(
      {.name = "segmentation",
       .summary = "a class for each pixel: convolutional head on feature maps, cross entropy, mean "
                  "intersection over union",
       .source = "Long, Shelhamer and Darrell 2015, arXiv 1411.4038, section 4",
       .takes = {TargetKind::mask}},
      schema());
}
