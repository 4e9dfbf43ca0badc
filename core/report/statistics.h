#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// A mean with what is known of it.
struct Estimate {
  int64_t count = 0;
  double mean = 0;
  std::optional<double> std;  ///< sample standard deviation; none for one value
  /// Half of the 95 % interval of Student's t. None for one value, and for values that are equal
  /// but for rounding: they do not tell how far others would be apart.
  std::optional<double> half;

  std::optional<double> low() const { return half ? std::optional(mean - *half) : std::nullopt; }
  std::optional<double> high() const { return half ? std::optional(mean + *half) : std::nullopt; }
};

/// `values` must not be empty.
double mean_of(const std::vector<double>& values);

/// Mean, sample standard deviation s and the interval mean ± t(0.975, n − 1)·s/√n, where s > 0.
/// `values` must not be empty.
Estimate estimate(const std::vector<double>& values);

/// What differences of pairs say against the hypothesis that their signs are chance.
struct SignFlipTest {
  double p = 1;       ///< two-sided
  bool exact = true;  ///< all 2ⁿ sign patterns were counted; otherwise 100 000 random ones
  double least = 1;   ///< the smallest p that as many pairs can give
};

/// Fisher's permutation test for pairs (The Design of Experiments, 1935, section 21): the share of
/// sign patterns under which the mean is at least as far from 0 as it is. Exact up to 20 pairs;
/// beyond, random patterns from a fixed stream, with the observed one counted. `differences` must
/// not be empty.
SignFlipTest sign_flip_test(const std::vector<double>& differences);

/// The mean of several strata's mean differences, with equal weights.
struct PooledDifference {
  int64_t pairs = 0;
  double mean = 0;
  /// Half of the 95 % interval for these strata: the variances of their means, and Student's t with
  /// the degrees of freedom of Welch and Satterthwaite. None where a stratum has one pair only, and
  /// where the pairs of each stratum are equal.
  std::optional<double> half;
  /// The strata's means as a sample of such strata; none for one stratum.
  std::optional<Estimate> over_tasks;

  std::optional<double> low() const { return half ? std::optional(mean - *half) : std::nullopt; }
  std::optional<double> high() const { return half ? std::optional(mean + *half) : std::nullopt; }
};

/// `strata` has the differences of each task, none of them empty.
PooledDifference pooled_difference(const std::vector<std::vector<double>>& strata);

/// The permutation test of sign_flip_test within strata, for the mean of their means: each pair's
/// sign is chance, whatever its stratum. Exact up to 40 pairs, by counting the sums of either half.
SignFlipTest stratified_sign_flip_test(const std::vector<std::vector<double>>& strata);

/// Holm's step-down adjustment for several tests (Scandinavian Journal of Statistics 6, 1979), in
/// the order given.
std::vector<double> holm(const std::vector<double>& p_values);

/// The true difference that a paired t-test at 5 % finds in four of five studies with `pairs` pairs
/// (at least 2), where differences spread by `std`: (t(0.975, n − 1) + t(0.8, n − 1))·s/√n.
double detectable_difference(double std, int64_t pairs);

}  // namespace bissl::host
