#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bissl::host {

/// Classification by weighted nearest neighbours (Wu et al. 2018, arXiv 1805.01978, section 3.4):
/// of the k features of the bank with the largest cosine s to a feature, each votes for its class
/// with the weight exp(s/τ). So do DINO (Caron et al. 2021, arXiv 2104.14294) and others, with
/// k = 10, 20, 100 or 200 and τ = 0.07.
///
/// The search is exact and works in blocks (analysis/neighbours.h): what it holds besides the bank
/// does not grow with it. Among equal similarities the neighbour that comes first in the bank is
/// nearer.
class KnnClassifier {
 public:
  struct Options {
    int64_t k = 20;
    double temperature = 0.07;  ///< τ
  };

  /// `bank` (N, D), float, which it keeps and normalises in place, so that it is in memory once;
  /// `labels` (N), int64, on the CPU, classes in 0 … `classes` − 1. N must be k at least.
  KnnClassifier(at::Tensor bank, at::Tensor labels, int64_t classes, const Options& options);

  /// Features (B, D) on the bank's device to votes (B, classes), double, on the CPU. They are
  /// scaled by exp(−s_max/τ) of each row's nearest neighbour, so a row's largest weight is 1.
  at::Tensor votes(const at::Tensor& features) const;

 private:
  at::Tensor bank_;
  at::Tensor labels_;
  int64_t classes_;
  Options options_;
};

/// By how many classes each row's target is beaten, (B), int64: by one that has more votes, or as
/// many and a smaller number. A target without a vote is beaten by all other classes.
at::Tensor ranks_of(const at::Tensor& votes, const at::Tensor& targets);

}  // namespace bissl::host
