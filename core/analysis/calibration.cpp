#include "analysis/calibration.h"

#include "bissl/error.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {

Reliability reliability(const at::Tensor& logits, const at::Tensor& labels, int64_t bins) {
  if (!at::isfinite(logits).all().item<bool>()) {
    fail_run(
        "the logits of a classifier are not finite: its weights are not, so its training "
        "diverged");
  }
  const at::Tensor probabilities = at::softmax(logits.detach().to(at::kCPU, at::kDouble), 1);
  const at::Tensor classes = probabilities.argmax(1);
  const at::Tensor confidences =
      probabilities.gather(1, classes.unsqueeze(1)).squeeze(1).contiguous();
  const at::Tensor right = classes.eq(labels.to(at::kCPU)).contiguous();
  Reliability result;
  for (int64_t i = 0; i < bins; ++i) {
    result.bins.push_back({.low = static_cast<double>(i) / static_cast<double>(bins),
                           .high = static_cast<double>(i + 1) / static_cast<double>(bins)});
  }
  for (int64_t i = 0; i < confidences.size(0); ++i) {
    const double confidence = confidences.data_ptr<double>()[i];
    const auto place = static_cast<int64_t>(std::ceil(confidence * static_cast<double>(bins))) - 1;
    ReliabilityBin& bin = result.bins[static_cast<size_t>(std::clamp<int64_t>(place, 0, bins - 1))];
    ++bin.samples;
    bin.confidence += confidence;
    bin.accuracy += right.data_ptr<bool>()[i] ? 1 : 0;
  }
  const auto all = static_cast<double>(confidences.size(0));
  for (ReliabilityBin& bin : result.bins) {
    if (bin.samples > 0) {
      const auto samples = static_cast<double>(bin.samples);
      bin.confidence /= samples;
      bin.accuracy /= samples;
      result.ece += samples / all * std::abs(bin.accuracy - bin.confidence);
    }
  }
  return result;
}

std::vector<ClassAccuracy> accuracy_by_class(const at::Tensor& found, const at::Tensor& labels,
                                             int64_t classes) {
  std::vector<ClassAccuracy> result(static_cast<size_t>(classes));
  const at::Tensor given = found.contiguous();
  const at::Tensor truth = labels.contiguous();
  for (int64_t i = 0; i < truth.size(0); ++i) {
    const int64_t category = truth.data_ptr<int64_t>()[i];
    ClassAccuracy& one = result.at(static_cast<size_t>(category));
    ++one.samples;
    one.right += given.data_ptr<int64_t>()[i] == category ? 1 : 0;
  }
  return result;
}

}  // namespace bissl::host
