#pragma once

#include "analysis/measured.h"

#include <cstdint>
#include <functional>
#include <vector>

namespace bissl::host {

// Features (N, D) as points of a plane, or of few dimensions.

/// Principal components: the directions of largest variance.
struct Components {
  at::Tensor points;           ///< (N, count), double: positions along them
  std::vector<double> shares;  ///< of the variance, by component
};

/// The first `count` components, at most min(N, D). The sign of each is such that the coordinate of
/// its direction with the largest magnitude is positive. Where all features are equal, points are 0
/// and so are the shares.
Components principal_components(const at::Tensor& features, int64_t count);

struct TsneOptions {
  double perplexity = 30;  ///< the number of neighbours that count; at most (N − 1)/3
  int64_t iterations = 1000;
  double learning_rate = 0;  ///< 0: max(N/48, 50), as scikit-learn's "auto"
  /// Of Barnes–Hut: cells whose width is below θ times their distance act as one point. 0: none do,
  /// the repulsion is exact.
  double theta = 0.5;
  /// Called after each iteration; may throw to stop. Unset: nothing is called.
  std::function<void()> after_iteration = {};
};

/// t-SNE (van der Maaten and Hinton 2008; van der Maaten 2014 for trees and the neighbours beyond
/// which similarities are 0): (N, 2), double. Starts from the first two principal components,
/// scaled to a deviation of 1e-4, as Kobak and Berens 2019 advise, so it needs no random numbers:
/// equal features give equal points. With another number of threads the distances may differ in
/// their last digits. Throws Error(input) for fewer than 4 samples.
at::Tensor tsne(const at::Tensor& features, const TsneOptions& options);

/// How many of the k nearest neighbours in the plane are near in the features, too (Venna and Kaski
/// 2001): 1 − 2/(N·k·(2N − 3k − 1))·Σ_i Σ_j max(0, r(i, j) − k) over the k neighbours j of i in the
/// plane, r the rank of j by its distance in the features. 0 to 1, higher is better. N must be more
/// than 2·k.
Measured trustworthiness(const at::Tensor& features, const at::Tensor& points, int64_t k);

}  // namespace bissl::host
