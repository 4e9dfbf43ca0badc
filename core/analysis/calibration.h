#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace bissl::host {

/// The samples whose confidence, the largest probability, lies in (low, high].
struct ReliabilityBin {
  double low = 0;
  double high = 0;
  int64_t samples = 0;
  double confidence = 0;  ///< their mean; 0 without samples
  double accuracy = 0;    ///< the share of them whose class it is; 0 without samples
};

/// How far confidences are shares of right answers (DeGroot and Fienberg 1983; Guo et al. 2017,
/// arXiv 1706.04599).
struct Reliability {
  std::vector<ReliabilityBin> bins;  ///< of equal width, ascending
  double ece = 0;                    ///< Σ |B|/N·|accuracy − confidence|, 0 to 1
};

/// Of logits (N, K), N ≥ 1, and labels (N), int64. Among equal logits the smallest class is taken.
/// Throws Error(run) for logits that are not finite.
Reliability reliability(const at::Tensor& logits, const at::Tensor& labels, int64_t bins = 15);

/// By class, how many samples there are and how many of them are right. `found` and `labels` (N),
/// int64, 0 … classes − 1.
struct ClassAccuracy {
  int64_t samples = 0;
  int64_t right = 0;
};
std::vector<ClassAccuracy> accuracy_by_class(const at::Tensor& found, const at::Tensor& labels,
                                             int64_t classes);

}  // namespace bissl::host
