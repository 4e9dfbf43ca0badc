#include "analysis/dimension.h"

#include "analysis/neighbours.h"

#include <ATen/ops/unique_dim.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

namespace bissl::host {
namespace {

/// Distances of each sample to its k nearest others, ascending. Samples that coincide are one. The
/// search is made in single precision, a few neighbours more than are needed; their distances
/// are computed in double.
std::vector<std::vector<double>> neighbour_distances(const at::Tensor& features, int64_t k) {
  constexpr int64_t spare = 5;
  const at::Tensor distinct =
      std::get<0>(at::unique_dim(checked_features(features), 0)).contiguous();
  const int64_t width = distinct.size(1);
  if (distinct.size(0) <= k) {
    return {};
  }
  const at::Tensor single = centred(distinct).to(at::kFloat);
  const auto nearest = nearest_rows(single, single, {k + spare, Nearness::euclidean, true});
  std::vector<std::vector<double>> distances;
  for (size_t row = 0; row < nearest.size(); ++row) {
    std::vector<double>& of_row = distances.emplace_back();
    const double* here = distinct.data_ptr<double>() + static_cast<int64_t>(row) * width;
    for (const auto& [nearness, place] : nearest[row]) {
      const double* there = distinct.data_ptr<double>() + place * width;
      double sum = 0;
      for (int64_t i = 0; i < width; ++i) {
        sum += (here[i] - there[i]) * (here[i] - there[i]);
      }
      of_row.push_back(std::sqrt(sum));
    }
    std::sort(of_row.begin(), of_row.end());
    of_row.resize(static_cast<size_t>(k));
  }
  return distances;
}

}  // namespace

Measured two_nn(const at::Tensor& features) {
  double sum = 0;
  const auto distances = neighbour_distances(features, 2);
  for (const std::vector<double>& nearest : distances) {
    sum += std::log(nearest[1] / nearest[0]);
  }
  if (distances.empty()) {
    return Measured::none("fewer than 3 samples differ");
  }
  return sum > 0 ? Measured(static_cast<double>(distances.size() - 1) / sum)
                 : Measured::none("all samples are equally far from each other");
}

Measured intrinsic_dimension(const at::Tensor& features) {
  constexpr int64_t neighbours = 20;
  double sum = 0;
  const auto distances = neighbour_distances(features, neighbours);
  if (distances.empty()) {
    return Measured::none("20 neighbours are looked at, and no more than 20 samples differ");
  }
  for (const std::vector<double>& nearest : distances) {
    for (size_t i = 0; i + 1 < nearest.size(); ++i) {
      sum += std::log(nearest.back() / nearest[i]);
    }
  }
  return sum > 0 ? Measured(static_cast<double>(distances.size()) *
                            static_cast<double>(neighbours - 1) / sum)
                 : Measured::none("all samples are equally far from each other");
}

}  // namespace bissl::host
