#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace bissl::host {

/// How a multinomial logistic regression is fitted.
struct LogisticSetting {
  /// The ridge r, more than 0. Unset: chosen on samples that are held out of the fit.
  std::optional<double> ridge{};
  double held_out = 0.2;  ///< share of each class's samples that is held out for that
  uint64_t seed = 0;      ///< of the choice of these samples
  /// Rows of the features belong to this many samples, row i to sample i modulo it: views of one
  /// image are held out together. 0: each row is a sample of its own.
  int64_t samples = 0;
  int64_t iterations = 500;  ///< of L-BFGS at most, for each ridge
  double tolerance = 1e-5;   ///< of the largest entry of the objective's gradient
};

/// Logits x·Wᵀ + b of features x, in their own scale.
struct LogisticFit {
  at::Tensor weight;  ///< W (K, D), double
  at::Tensor bias;    ///< b (K), double
  double ridge = 0;
  double loss = 0;      ///< mean cross entropy of all rows
  double accuracy = 0;  ///< share of all rows whose class has the largest logit
  /// Mean cross entropy of the rows that were held out, at the chosen ridge; unset where none were.
  std::optional<double> held_out_loss{};
  std::optional<double> held_out_accuracy{};
  bool converged = false;  ///< whether the fit on all rows ended within the tolerance
};

/// Multinomial logistic regression of labels (N; int64, 0 … K − 1) on features (N, D; any real
/// type): the least of
///
///     mean cross entropy of z·Vᵀ + c  +  (r/2)·‖V‖²
///
/// over V (K, D) and c (K), z being the features less their means, over their standard deviations.
/// c is not penalised. It is convex; r > 0 makes the minimum unique but for a constant in c.
///
/// An unset ridge is the one of 10, 1, …, 10⁻⁶ with the least cross entropy on the rows held out:
/// the path begins with the largest, each fit where the last one ended, and ends early after two
/// ridges in a row that are worse than the best one. The fit on all rows follows. Where no class
/// has two samples, nothing can be held out and r is 1.
///
/// A feature that is constant, up to rounding, has weight 0. A class without rows has weights 0 and
/// a bias of ln(N + 1) below the least of the others; if there is one class only, its logit is 0
/// and theirs −ln(N + 1).
///
/// Works in double precision on the CPU. Deterministic but for the order of sums, which depends on
/// the number of threads. Throws Error(ErrorKind::input) for no rows, sizes that differ, labels
/// out of range, features that are not finite.
LogisticFit fit_logistic_regression(const at::Tensor& features, const at::Tensor& labels,
                                    int64_t classes, const LogisticSetting& setting = {});

/// Mean cross entropy and accuracy of logits (N, K; K ≥ 1) for labels (N). Among equal logits the
/// smallest class counts as the largest.
struct LogitScore {
  double loss = 0;
  double accuracy = 0;
};
LogitScore score_logits(const at::Tensor& logits, const at::Tensor& labels);

}  // namespace bissl::host
