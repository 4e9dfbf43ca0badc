#include "analysis/embedding.h"

#include "numerics/one_thread.h"

#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace bissl::host {
namespace {

/// (rows, N): squared distances between some rows and all.
at::Tensor squared_distances(const at::Tensor& all, int64_t begin, int64_t rows) {
  const at::Tensor squares = all.pow(2).sum(at::IntArrayRef{1});
  return at::matmul(all.narrow(0, begin, rows), all.t())
      .mul(-2)
      .add(squares.unsqueeze(0))
      .add(squares.narrow(0, begin, rows).unsqueeze(1))
      .contiguous();
}

}  // namespace

std::vector<std::vector<Neighbour>> nearest_samples(const at::Tensor& features, int64_t count) {
  const OneThread one;
  const at::Tensor single = centred(features).to(at::kFloat);
  return nearest_rows(single, single, {count, Nearness::euclidean, true});
}

Components principal_components(const at::Tensor& features, int64_t count) {
  const OneThread one;
  const at::Tensor numbers = checked_features(features);
  const at::Tensor centre = centred(numbers);
  count = std::min({count, centre.size(0), centre.size(1)});
  Components components{at::zeros({centre.size(0), count}, at::kDouble),
                        std::vector<double>(static_cast<size_t>(count), 0.0)};
  const double total = centre.pow(2).sum().item<double>();
  if (centre.abs().max().item<double>() <= 1e-12 * numbers.abs().max().item<double>()) {
    return components;
  }
  const bool tall = centre.size(0) >= centre.size(1);
  const auto [values, vectors] =
      at::linalg_eigh(tall ? at::matmul(centre.t(), centre) : at::matmul(centre, centre.t()));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = values.size(0) - 1 - i;
    const double value = std::max(values.select(0, at).item<double>(), 0.0);
    if (value <= 1e-12 * total) {
      break;
    }
    const at::Tensor vector = vectors.select(1, at);
    const at::Tensor direction = tall ? vector : at::matmul(centre.t(), vector);
    const at::Tensor largest = direction.select(0, direction.abs().argmax().item<int64_t>());
    const double sign = largest.item<double>() < 0 ? -1 : 1;
    components.points.select(1, i).copy_(
        (tall ? at::matmul(centre, vector) : vector.mul(std::sqrt(value))).mul(sign));
    components.shares[static_cast<size_t>(i)] = value / total;
  }
  return components;
}

std::vector<double> principal_plane(const at::Tensor& features) {
  const at::Tensor found = principal_components(features, 2).points.contiguous();
  std::vector<double> points(static_cast<size_t>(2 * found.size(0)), 0.0);
  for (int64_t i = 0; i < found.size(0); ++i) {
    for (int64_t c = 0; c < found.size(1); ++c) {
      points[static_cast<size_t>(2 * i + c)] = found.data_ptr<double>()[i * found.size(1) + c];
    }
  }
  return points;
}

Measured trustworthiness(const at::Tensor& features, const at::Tensor& points, int64_t k) {
  constexpr int64_t rows = 256;
  const OneThread one_thread;
  const at::Tensor high = centred(checked_features(features));
  const at::Tensor low = checked_features(points);
  const int64_t samples = high.size(0);
  if (low.size(0) != samples || samples <= 2 * k) {
    return Measured::none("there are too few samples for that many neighbours");
  }
  double penalty = 0;
  std::vector<int64_t> nearest(static_cast<size_t>(samples));
  for (int64_t begin = 0; begin < samples; begin += rows) {
    const int64_t here = std::min(rows, samples - begin);
    const at::Tensor in_features = squared_distances(high, begin, here);
    const at::Tensor in_plane = squared_distances(low, begin, here);
    for (int64_t row = 0; row < here; ++row) {
      const double* far = in_features.data_ptr<double>() + row * samples;
      const double* near = in_plane.data_ptr<double>() + row * samples;
      std::iota(nearest.begin(), nearest.end(), int64_t{0});
      nearest.erase(nearest.begin() + begin + row);
      const auto is_before = [near](int64_t a, int64_t b) {
        return near[a] < near[b] || (near[a] == near[b] && a < b);
      };
      std::partial_sort(nearest.begin(), nearest.begin() + k, nearest.end(), is_before);
      for (int64_t j = 0; j < k; ++j) {
        const int64_t one = nearest[static_cast<size_t>(j)];
        int64_t rank = 1;
        for (int64_t other = 0; other < samples; ++other) {
          rank += other != begin + row && other != one &&
                          (far[other] < far[one] || (far[other] == far[one] && other < one))
                      ? 1
                      : 0;
        }
        penalty += static_cast<double>(std::max<int64_t>(0, rank - k));
      }
      nearest.resize(static_cast<size_t>(samples));
    }
  }
  const auto n = static_cast<double>(samples);
  const auto neighbours = static_cast<double>(k);
  return 1 - 2 / (n * neighbours * (2 * n - 3 * neighbours - 1)) * penalty;
}

}  // namespace bissl::host
