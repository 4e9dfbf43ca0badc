#include "report/statistics.h"

#include "bissl/error.h"
#include "bissl/random.h"

#include <boost/math/distributions/students_t.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace bissl::host {
namespace {

constexpr size_t most_exact_pairs = 20;
constexpr int64_t random_patterns = 100000;

void refuse_none(const std::vector<double>& values) {
  if (values.empty()) {
    fail_run("statistics of no values were asked for");
  }
}

/// Rounding must not decide whether a sum is as far from 0 as the observed one.
constexpr double slack = 1e-12;

/// A standard deviation of no more than this share of the largest value is one of rounding: of
/// differences, which are small against the values that they are of.
constexpr double rounding_spread = 1e-9;

double largest_size(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) {
    largest = std::max(largest, std::abs(value));
  }
  return largest;
}

}  // namespace

double mean_of(const std::vector<double>& values) {
  // Divided, the rounded sum of equal values may be another one, from which they seem to differ.
  if (!values.empty() &&
      std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end()) {
    return values.front() + 0.0;  // no negative zero
  }
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Estimate estimate(const std::vector<double>& values) {
  refuse_none(values);
  Estimate result;
  result.count = static_cast<int64_t>(values.size());
  result.mean = mean_of(values);
  if (values.size() > 1) {
    double squares = 0;
    for (const double value : values) {
      squares += (value - result.mean) * (value - result.mean);
    }
    const auto count = static_cast<double>(values.size());
    const double deviation = std::sqrt(squares / (count - 1));
    result.std = deviation;
    if (deviation > rounding_spread * largest_size(values)) {
      const boost::math::students_t t(count - 1);
      result.half = boost::math::quantile(t, 0.975) * deviation / std::sqrt(count);
    }
  }
  return result;
}

SignFlipTest sign_flip_test(const std::vector<double>& differences) {
  refuse_none(differences);
  double size = 0;
  for (const double difference : differences) {
    size += std::abs(difference);
  }
  const double observed = std::abs(std::accumulate(differences.begin(), differences.end(), 0.0));
  const double bar = observed - slack * size;
  const size_t count = differences.size();
  SignFlipTest test;
  if (count <= most_exact_pairs) {
    const uint64_t patterns = uint64_t{1} << count;
    uint64_t as_far = 0;
    for (uint64_t pattern = 0; pattern < patterns; ++pattern) {
      double sum = 0;
      for (size_t i = 0; i < count; ++i) {
        sum += (pattern >> i & 1) != 0 ? differences[i] : -differences[i];
      }
      as_far += std::abs(sum) >= bar ? 1 : 0;
    }
    test.p = static_cast<double>(as_far) / static_cast<double>(patterns);
    test.least = 2.0 / static_cast<double>(patterns);
    return test;
  }
  RandomStream stream(0, "report/sign-flips");
  int64_t as_far = 1;
  for (int64_t pattern = 0; pattern < random_patterns; ++pattern) {
    double sum = 0;
    uint32_t signs = 0;
    for (size_t i = 0; i < count; ++i) {
      signs = i % 32 == 0 ? stream.bits32() : signs >> 1;
      sum += (1.0 - 2.0 * (signs & 1)) * differences[i];
    }
    as_far += std::abs(sum) >= bar ? 1 : 0;
  }
  test.exact = false;
  test.p = static_cast<double>(as_far) / static_cast<double>(random_patterns + 1);
  test.least = 1.0 / static_cast<double>(random_patterns + 1);
  return test;
}

namespace {

constexpr size_t most_exact_strata_pairs = 40;

/// The sums of the terms under all patterns of signs, in ascending order.
std::vector<double> sorted_sums(const std::vector<double>& terms) {
  std::vector<double> sums = {0};
  for (const double term : terms) {
    const size_t before = sums.size();
    for (size_t i = 0; i < before; ++i) {
      sums.push_back(sums[i] + term);
      sums[i] -= term;
    }
  }
  std::sort(sums.begin(), sums.end());
  return sums;
}

/// How many of all patterns of signs give a sum of at least `bar` or at most −`bar`, which is
/// positive, as a share.
double share_as_far(const std::vector<double>& terms, double bar) {
  const auto middle = terms.begin() + static_cast<long>(terms.size() / 2);
  const std::vector<double> left = sorted_sums({terms.begin(), middle});
  const std::vector<double> right = sorted_sums({middle, terms.end()});
  double as_far = 0;
  auto high = right.end();  // those from here on are far enough with what is left of them
  for (const double sum : left) {
    while (high != right.begin() && sum + *(high - 1) >= bar) {
      --high;
    }
    as_far += static_cast<double>(right.end() - high);
  }
  // Each pattern has one with all signs changed: as many sums are at most −bar.
  return 2 * as_far / (static_cast<double>(left.size()) * static_cast<double>(right.size()));
}

}  // namespace

PooledDifference pooled_difference(const std::vector<std::vector<double>>& strata) {
  std::vector<double> means;
  double variance = 0;
  double freedom = 0;
  bool has_pairs = !strata.empty();
  PooledDifference result;
  for (const std::vector<double>& stratum : strata) {
    const Estimate one = estimate(stratum);
    result.pairs += one.count;
    means.push_back(one.mean);
    has_pairs = has_pairs && one.std.has_value();
    if (one.half) {
      const auto count = static_cast<double>(one.count);
      const double of_mean = *one.std * *one.std / count;
      variance += of_mean;
      freedom += of_mean * of_mean / (count - 1);
    }
  }
  refuse_none(means);
  result.mean = mean_of(means);
  if (has_pairs && variance > 0) {
    const auto count = static_cast<double>(strata.size());
    const boost::math::students_t t(variance * variance / freedom);
    result.half = boost::math::quantile(t, 0.975) * std::sqrt(variance) / count;
  }
  if (means.size() > 1) {
    result.over_tasks = estimate(means);
  }
  return result;
}

SignFlipTest stratified_sign_flip_test(const std::vector<std::vector<double>>& strata) {
  std::vector<double> terms;
  for (const std::vector<double>& stratum : strata) {
    refuse_none(stratum);
    for (const double difference : stratum) {
      terms.push_back(difference / static_cast<double>(stratum.size()));
    }
  }
  refuse_none(terms);
  double size = 0;
  for (const double term : terms) {
    size += std::abs(term);
  }
  const double bar = std::abs(std::accumulate(terms.begin(), terms.end(), 0.0)) - slack * size;
  SignFlipTest test;
  if (terms.size() > most_exact_strata_pairs) {
    return sign_flip_test(terms);  // random patterns
  }
  test.p = bar <= 0 ? 1 : std::min(1.0, share_as_far(terms, bar));
  test.least = std::ldexp(2.0, -static_cast<int>(terms.size()));
  return test;
}

double detectable_difference(double std, int64_t pairs) {
  if (pairs < 2) {
    fail_run("the power of a test with {} pairs was asked for", pairs);
  }
  const auto count = static_cast<double>(pairs);
  const boost::math::students_t t(count - 1);
  return (boost::math::quantile(t, 0.975) + boost::math::quantile(t, 0.8)) * std / std::sqrt(count);
}

std::vector<double> holm(const std::vector<double>& p_values) {
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t left, size_t right) { return p_values[left] < p_values[right]; });
  std::vector<double> adjusted(p_values.size());
  double highest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const double factor = static_cast<double>(order.size() - rank);
    highest = std::max(highest, std::min(1.0, factor * p_values[order[rank]]));
    adjusted[order[rank]] = highest;
  }
  return adjusted;
}

}  // namespace bissl::host
