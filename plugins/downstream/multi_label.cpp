#include "bissl/downstream.h"
#include "bissl/plugin.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace bissl {
namespace {

/// Binary cross entropy with logits, summed over the entries that count.
at::Tensor summed_loss(const at::Tensor& outputs, const TargetBatch& targets) {
  return at::binary_cross_entropy_with_logits(
      outputs, targets.known().to(outputs.scalar_type()),
      /*weight=*/targets.counted().to(outputs.scalar_type()), /*pos_weight=*/{},
      at::Reduction::Sum);
}

/// The scores of one label, and whether the samples have it.
struct Ranking {
  std::vector<float> scores;
  std::vector<uint8_t> positive;
};

/// The two forms of average precision.
struct AveragePrecision {
  double area = 0;
  double eleven_points = 0;
};

/// Precision and recall as the threshold sinks. Samples of one score cross it together, so their
/// order says nothing; a score that is not a number is below all others.
class PrecisionRecall {
 public:
  explicit PrecisionRecall(const Ranking& ranking) {
    std::vector<float> scores = ranking.scores;
    for (float& score : scores) {
      score = std::isnan(score) ? -std::numeric_limits<float>::infinity() : score;
    }
    std::vector<size_t> order(scores.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return scores[a] > scores[b]; });
    int64_t taken = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      ++taken;
      positives_ += ranking.positive[order[i]];
      const bool last_of_its_score =
          i + 1 == order.size() || scores[order[i + 1]] != scores[order[i]];
      if (last_of_its_score) {
        found_.push_back(positives_);
        precision_.push_back(static_cast<double>(positives_) / static_cast<double>(taken));
      }
    }
    // Where more is found, precision may be higher again: the best from there on counts.
    for (size_t i = precision_.size(); i-- > 1;) {
      precision_[i - 1] = std::max(precision_[i - 1], precision_[i]);
    }
  }

  int64_t positives() const { return positives_; }

  /// Everingham et al. 2010 (VOC), section 4.2: area under the curve of the best precision at each
  /// recall or beyond (since VOC2010), and the mean of that at recalls of 0, 0.1, …, 1 (VOC2007).
  AveragePrecision average() const {
    AveragePrecision average;
    int64_t before = 0;
    for (size_t i = 0; i < found_.size(); ++i) {
      average.area += static_cast<double>(found_[i] - before) * precision_[i];
      before = found_[i];
    }
    average.area /= static_cast<double>(positives_);
    for (int64_t tenth = 0; tenth <= 10; ++tenth) {
      const auto reached = std::find_if(found_.begin(), found_.end(), [&](int64_t found) {
        return 10 * found >= tenth * positives_;
      });
      average.eleven_points += precision_[static_cast<size_t>(reached - found_.begin())] / 11.0;
    }
    return average;
  }

 private:
  int64_t positives_ = 0;
  std::vector<int64_t> found_;     ///< positives above each threshold
  std::vector<double> precision_;  ///< the best at each threshold or below
};

/// Mean average precision over the labels, and the mean loss. Keeps all scores of the pass: 5 bytes
/// for each label of each sample, and 13 more for those of one label while it sorts them.
class Scores : public MetricAccumulator {
 public:
  explicit Scores(int64_t labels) : rankings_(static_cast<size_t>(labels)) {}

  void add(const at::Tensor& outputs, const TargetBatch& targets) override {
    const at::Tensor scores = outputs.detach().to(at::kCPU, at::kFloat).contiguous();
    const at::Tensor known = targets.dense.to(at::kCPU, at::kFloat).contiguous();
    loss_ += summed_loss(outputs.to(at::kDouble), targets).item<double>();
    const float* score = scores.data_ptr<float>();
    const float* target = known.data_ptr<float>();
    for (int64_t sample = 0; sample < scores.size(0); ++sample) {
      for (Ranking& ranking : rankings_) {
        if (!std::isnan(*target)) {
          ranking.scores.push_back(*score);
          ranking.positive.push_back(*target == 1.0F ? 1 : 0);
          ++counted_;
        }
        ++score;
        ++target;
      }
    }
  }

  Metrics result() const override {
    const double nothing = std::numeric_limits<double>::quiet_NaN();
    AveragePrecision sum;
    double labels = 0;
    for (const Ranking& ranking : rankings_) {
      const PrecisionRecall curve(ranking);
      if (curve.positives() > 0) {  // otherwise there is no recall
        const AveragePrecision one = curve.average();
        sum.area += one.area;
        sum.eleven_points += one.eleven_points;
        ++labels;
      }
    }
    return {{"mAP", labels > 0 ? sum.area / labels : nothing},
            {"mAP11", labels > 0 ? sum.eleven_points / labels : nothing},
            {"loss", counted_ > 0 ? loss_ / static_cast<double>(counted_) : nothing}};
  }

 private:
  std::vector<Ranking> rankings_;
  double loss_ = 0;
  int64_t counted_ = 0;
};

/// A linear layer called "fc" with a logit for each label, each judged by itself.
class MultiLabel : public Downstream {
 public:
  explicit MultiLabel(const DownstreamContext& context) : labels_(context.targets.width) {
    fc_ = module_->register_module("fc", torch::nn::Linear(context.features, labels_));
  }

  at::Tensor forward(const at::Tensor& features) override { return fc_->forward(features); }

  at::Tensor loss(const at::Tensor& outputs, const TargetBatch& targets) override {
    return summed_loss(outputs, targets) / targets.counted().sum().clamp_min(1);
  }

  std::vector<MetricInfo> metric_info() const override {
    return {{.name = "mAP",
             .doc = "mean over the labels of the area under precision by recall (VOC2010's form)",
             .higher_is_better = true,
             .lowest = 0.0,
             .highest = 1.0},
            {.name = "mAP11",
             .doc = "mean over the labels of precision at eleven recalls (VOC2007's form)",
             .higher_is_better = true,
             .lowest = 0.0,
             .highest = 1.0},
            {.name = "loss",
             .doc = "mean binary cross entropy of the entries that count",
             .higher_is_better = false,
             .lowest = 0.0,
             .highest = {}}};
  }

  std::unique_ptr<MetricAccumulator> metrics() const override {
    return std::make_unique<Scores>(labels_);
  }

  torch::nn::Module& module() override { return *module_; }

 private:
  int64_t labels_;
  std::shared_ptr<torch::nn::Module> module_ = std::make_shared<torch::nn::Module>();
  torch::nn::Linear fc_{nullptr};
};

}  // namespace
}  // namespace bissl

BISSL_PLUGIN("multi-label", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  registrar.add<Downstream, MultiLabel>(
      {.name = "multi-label",
       .summary = "any of several labels per image: linear head, binary cross entropy, mean "
                  "average precision",
       .source = "Everingham et al. 2010, The Pascal Visual Object Classes (VOC) Challenge, "
                 "section 4.2",
       .takes = {TargetKind::multi_label}},
      Schema<NoOptions>{});
}
