#pragma once

#include <cstdint>
#include <vector>

namespace bissl::host::test {

/// Values of one channel, as the loops of batch normalisation's second derivatives take them.
template <class T>
struct Run {
  std::vector<T> x{};
  std::vector<T> g{};
  std::vector<T> a{};
  double mean = 0;
  double inverse_deviation = 1;

  int64_t size() const { return static_cast<int64_t>(x.size()); }
};

/// What the loops make of them.
template <class T>
struct RunResults {
  std::vector<double> sums;  ///< of a, g, a·x̂, g·x̂, a·g
  std::vector<T> in_output;
  std::vector<T> in_input;
};

RunResults<float> sum_results_baseline(const Run<float>& run);
RunResults<double> sum_results_baseline(const Run<double>& run);
RunResults<float> sum_results_avx2(const Run<float>& run);
RunResults<double> sum_results_avx2(const Run<double>& run);

}  // namespace bissl::host::test
