#include "analysis/embedding.h"
#include "bissl/error.h"
#include "bissl/random.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

/// Algorithm 3 of McInnes, Healy and Melville 2018: the σ with which Σ exp(−max(0, d − ρ)/σ) over
/// the neighbours is `wanted`. `least` bounds it from below, where many distances are equal.
double bandwidth_of(const std::vector<double>& distances, double nearest, double wanted,
                    double least) {
  constexpr int most = 64;
  constexpr double tolerance = 1e-5;
  double low = 0;
  double high = std::numeric_limits<double>::infinity();
  double bandwidth = 1;
  for (int i = 0; i < most; ++i) {
    double sum = 0;
    for (const double distance : distances) {
      sum += std::exp(-std::max(0.0, distance - nearest) / bandwidth);
    }
    if (std::abs(sum - wanted) < tolerance) {
      break;
    }
    (sum > wanted ? high : low) = bandwidth;
    bandwidth = std::isinf(high) ? bandwidth * 2 : (low + high) / 2;
  }
  return std::max(bandwidth, least);
}

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// The distances to the neighbours of each sample, and what their weights follow from.
struct Surroundings {
  std::vector<std::vector<Neighbour>> neighbours;
  std::vector<std::vector<double>> distances;
  std::vector<double> means;  ///< of the distances, the one of 0 to the sample itself included
};

Surroundings surroundings_of(const at::Tensor& features, int64_t others) {
  Surroundings found;
  found.neighbours = nearest_samples(features, others);
  for (const auto& row : found.neighbours) {
    std::vector<double>& own = found.distances.emplace_back();
    for (const auto& [nearness, place] : row) {
      own.push_back(std::sqrt(std::max(0.0, -static_cast<double>(nearness))));
    }
    found.means.push_back(sum_of(own) / static_cast<double>(others + 1));
  }
  return found;
}

/// Stochastic gradient descent on the cross-entropy of edges, by edges in proportion to their
/// weights and as many samples at random (algorithm 5).
class Layout {
 public:
  Layout(std::vector<UmapEdge> edges, std::vector<double> points, const UmapCurve& curve,
         int64_t epochs, uint64_t seed)
      : edges_(std::move(edges)),
        points_(std::move(points)),
        curve_(curve),
        epochs_(epochs),
        seed_(seed) {
    double largest = 0;
    for (const UmapEdge& edge : edges_) {
      largest = std::max(largest, edge.weight);
    }
    for (UmapEdge& edge : edges_) {
      edge.weight /= largest;
    }
  }

  /// An edge of weight w is taken in a share w of the epochs, spread evenly.
  void step(int64_t epoch) {
    constexpr int negatives = 5;
    RandomStream random(seed_, "umap", static_cast<uint64_t>(epoch));
    const double rate = 1 - static_cast<double>(epoch) / static_cast<double>(epochs_);
    const auto samples = static_cast<uint64_t>(points_.size() / 2);
    for (const UmapEdge& edge : edges_) {
      const double before = std::floor(static_cast<double>(epoch) * edge.weight);
      if (std::floor(static_cast<double>(epoch + 1) * edge.weight) == before) {
        continue;
      }
      attract(edge.from, edge.to, rate);
      for (int i = 0; i < negatives; ++i) {
        const auto other = static_cast<size_t>(random.below(samples));
        if (other != edge.from) {
          repel(edge.from, other, rate);
        }
      }
    }
  }

  const std::vector<double>& points() const { return points_; }

 private:
  struct Apart {
    double x = 0, y = 0, square = 0;
  };

  Apart apart(size_t one, size_t other) const {
    const double x = points_[2 * one] - points_[2 * other];
    const double y = points_[2 * one + 1] - points_[2 * other + 1];
    return {x, y, x * x + y * y};
  }

  static double clipped(double value) { return std::clamp(value, -4.0, 4.0); }

  void attract(size_t one, size_t other, double rate) {
    const Apart d = apart(one, other);
    if (d.square <= 0) {
      return;
    }
    const double power = std::pow(d.square, curve_.b);
    const double pull = -2 * curve_.a * curve_.b * power / d.square / (1 + curve_.a * power);
    const double x = rate * clipped(pull * d.x);
    const double y = rate * clipped(pull * d.y);
    points_[2 * one] += x;
    points_[2 * one + 1] += y;
    points_[2 * other] -= x;
    points_[2 * other + 1] -= y;
  }

  void repel(size_t one, size_t other, double rate) {
    constexpr double least_square = 1e-3;
    const Apart d = apart(one, other);
    if (d.square <= 0) {
      return;
    }
    const double power = std::pow(d.square, curve_.b);
    const double push = 2 * curve_.b / ((least_square + d.square) * (1 + curve_.a * power));
    points_[2 * one] += rate * clipped(push * d.x);
    points_[2 * one + 1] += rate * clipped(push * d.y);
  }

  std::vector<UmapEdge> edges_;
  std::vector<double> points_;
  UmapCurve curve_;
  int64_t epochs_;
  uint64_t seed_;
};

/// The first two principal components with a largest coordinate of 10, and a little noise, without
/// which equal samples could never part.
std::vector<double> start_of(const at::Tensor& features, uint64_t seed) {
  constexpr double extent = 10;
  constexpr double noise = 1e-4;
  std::vector<double> points = principal_plane(features);
  double largest = 0;
  for (const double value : points) {
    largest = std::max(largest, std::abs(value));
  }
  RandomStream random(seed, "umap/start");
  for (double& value : points) {
    value = (largest > 0 ? value / largest * extent : 0) + noise * random.normal();
  }
  return points;
}

}  // namespace

std::vector<UmapEdge> umap_edges(const at::Tensor& features, int64_t neighbours) {
  constexpr double least_share = 1e-3;  // of the mean distance, for a bandwidth
  const int64_t others = std::min(neighbours, features.size(0)) - 1;
  const Surroundings found = surroundings_of(checked_features(features), others);
  const double mean = sum_of(found.means) / static_cast<double>(found.means.size());
  const double wanted = std::log2(static_cast<double>(others + 1));
  std::vector<std::map<size_t, double>> weights(found.neighbours.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const std::vector<double>& distances = found.distances[i];
    const auto positive = std::find_if(distances.begin(), distances.end(),
                                       [](double distance) { return distance > 0; });
    const double nearest = positive == distances.end() ? 0 : *positive;
    const double bandwidth = bandwidth_of(distances, nearest, wanted,
                                          least_share * (nearest > 0 ? found.means[i] : mean));
    for (size_t j = 0; j < distances.size(); ++j) {
      const double beyond = distances[j] - nearest;
      const double weight = beyond <= 0 || bandwidth <= 0 ? 1 : std::exp(-beyond / bandwidth);
      const auto place = static_cast<size_t>(found.neighbours[i][j].second);
      for (double* one : {&weights[i][place], &weights[place][i]}) {
        *one += weight - *one * weight;
      }
    }
  }
  std::vector<UmapEdge> edges;
  for (size_t i = 0; i < weights.size(); ++i) {
    for (const auto& [place, weight] : weights[i]) {
      edges.push_back({i, place, weight});
    }
  }
  return edges;
}

UmapCurve umap_curve(double least_distance) {
  constexpr int places = 300;
  constexpr int most = 100;
  constexpr double end = 3;
  UmapCurve curve{1, 1};
  const auto error_of = [&](const UmapCurve& at, std::array<double, 5>* normal) {
    double error = 0;
    for (int i = 0; i < places; ++i) {
      const double x = end * i / (places - 1);
      const double wanted = x < least_distance ? 1 : std::exp(-(x - least_distance));
      const double power = std::pow(x, 2 * at.b);
      const double value = 1 / (1 + at.a * power);
      const double rest = wanted - value;
      error += rest * rest;
      if (normal != nullptr) {
        const double in_a = -power * value * value;
        const double in_b = x > 0 ? in_a * at.a * 2 * std::log(x) : 0;
        (*normal)[0] += in_a * in_a;
        (*normal)[1] += in_a * in_b;
        (*normal)[2] += in_b * in_b;
        (*normal)[3] += in_a * rest;
        (*normal)[4] += in_b * rest;
      }
    }
    return error;
  };
  double damping = 1e-3;  // Levenberg and Marquardt's
  for (int i = 0; i < most; ++i) {
    std::array<double, 5> n{};
    const double error = error_of(curve, &n);
    const double aa = n[0] * (1 + damping);
    const double bb = n[2] * (1 + damping);
    const double determinant = aa * bb - n[1] * n[1];
    const UmapCurve next{curve.a + (bb * n[3] - n[1] * n[4]) / determinant,
                         curve.b + (aa * n[4] - n[1] * n[3]) / determinant};
    if (next.a > 0 && next.b > 0 && error_of(next, nullptr) <= error) {
      const bool done = std::abs(next.a - curve.a) + std::abs(next.b - curve.b) < 1e-12;
      curve = next;
      damping /= 10;
      if (done) {
        break;
      }
    } else {
      damping *= 10;
    }
  }
  return curve;
}

at::Tensor umap(const at::Tensor& features, const UmapOptions& options) {
  constexpr int64_t many_samples = 10000;
  const at::Tensor numbers = checked_features(features);
  const int64_t samples = numbers.size(0);
  if (samples < least_placed) {
    fail_input("UMAP places {} samples at least, and there are {}", least_placed, samples);
  }
  const int64_t epochs = options.epochs > 0 ? options.epochs : samples <= many_samples ? 500 : 200;
  Layout layout(umap_edges(numbers, options.neighbours), start_of(numbers, options.seed),
                umap_curve(options.least_distance), epochs, options.seed);
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    layout.step(epoch);
    if (options.after_epoch) {
      options.after_epoch();
    }
  }
  at::Tensor points = at::empty({samples, 2}, at::kDouble);
  std::copy(layout.points().begin(), layout.points().end(), points.data_ptr<double>());
  return points;
}

}  // namespace bissl::host
