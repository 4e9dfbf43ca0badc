#include "analysis/all_pairs.h"
#include "analysis/embedding.h"
#include "analysis/quadtree.h"
#include "bissl/error.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bissl::host {
namespace {

/// Similarities p_ij of the samples, symmetric, in rows: neighbours of i from begin[i] to
/// begin[i + 1].
struct Similarities {
  std::vector<size_t> begin;
  std::vector<int64_t> place;
  std::vector<double> value;
};

/// The weights exp(−β·d²) of neighbours with the perplexity, divided by their sum. `squares` are
/// ascending.
std::vector<double> weights_of(const std::vector<double>& squares, double perplexity) {
  constexpr int most = 200;
  constexpr double tolerance = 1e-5;
  const double wanted = std::log(perplexity);
  double beta = 1;
  double low = 0;
  double high = std::numeric_limits<double>::infinity();
  std::vector<double> weights(squares.size());
  for (int i = 0; i < most; ++i) {
    double sum = 0;
    double moment = 0;
    for (size_t j = 0; j < squares.size(); ++j) {
      const double excess = squares[j] - squares.front();  // the nearest weighs 1
      weights[j] = std::exp(-beta * excess);
      sum += weights[j];
      moment += weights[j] * excess;
    }
    const double entropy = std::log(sum) + beta * moment / sum;
    for (double& weight : weights) {
      weight /= sum;
    }
    if (std::abs(entropy - wanted) < tolerance) {
      break;
    }
    (entropy > wanted ? low : high) = beta;
    beta = std::isinf(high) ? beta * 2 : (low + high) / 2;
  }
  return weights;
}

Similarities similarities(const at::Tensor& features, double perplexity) {
  const int64_t samples = features.size(0);
  const int64_t k = std::min<int64_t>(samples - 1, static_cast<int64_t>(3 * perplexity) + 1);
  const auto nearest = nearest_samples(features, k);
  std::vector<std::vector<std::pair<int64_t, double>>> rows(static_cast<size_t>(samples));
  const double half = 0.5 / static_cast<double>(samples);
  for (size_t i = 0; i < rows.size(); ++i) {
    std::vector<double> squares;
    for (const auto& [nearness, place] : nearest[i]) {
      squares.push_back(std::max(0.0, -static_cast<double>(nearness)));
    }
    const std::vector<double> weights = weights_of(squares, perplexity);
    for (size_t j = 0; j < weights.size(); ++j) {
      const int64_t place = nearest[i][j].second;
      rows[i].emplace_back(place, weights[j] * half);
      rows[static_cast<size_t>(place)].emplace_back(static_cast<int64_t>(i), weights[j] * half);
    }
  }
  Similarities all;
  all.begin.push_back(0);
  for (auto& row : rows) {
    std::sort(row.begin(), row.end());
    for (size_t j = 0; j < row.size(); ++j) {
      if (j > 0 && row[j].first == row[j - 1].first) {
        all.value.back() += row[j].second;
      } else {
        all.place.push_back(row[j].first);
        all.value.push_back(row[j].second);
      }
    }
    all.begin.push_back(all.place.size());
  }
  return all;
}

/// Gradient descent with momentum and gains, as scikit-learn has it: it begins anew where the
/// exaggeration ends. Threads share out the points; the sums of each point are in one order,
/// whatever the number of threads, since rounding grows over the iterations.
class Descent {
 public:
  Descent(const Similarities& similarities, std::vector<double> points, double theta, double rate)
      : similarities_(similarities),
        points_(std::move(points)),
        theta_(theta),
        rate_(rate),
        gradient_(points_.size()),
        update_(points_.size(), 0.0),
        gains_(points_.size(), 1.0),
        repulsion_(points_.size()),
        normalisers_(points_.size() / 2) {}

  void step(double exaggeration, double momentum) {
    compute_gradient(exaggeration);
    for (size_t i = 0; i < points_.size(); ++i) {
      const bool turned = update_[i] * gradient_[i] < 0;
      gains_[i] = std::max(0.01, turned ? gains_[i] + 0.2 : gains_[i] * 0.8);
      update_[i] = momentum * update_[i] - rate_ * gains_[i] * gradient_[i];
      points_[i] += update_[i];
    }
  }

  /// Forgets velocities and gains.
  void restart() {
    std::fill(update_.begin(), update_.end(), 0.0);
    std::fill(gains_.begin(), gains_.end(), 1.0);
  }

  const std::vector<double>& points() const { return points_; }

 private:
  /// On each point the forces of all others and the sums of their weights.
  void compute_repulsion() {
    const auto compute = [&](const auto& force_on) {
      const auto samples = static_cast<int64_t>(points_.size() / 2);
      at::parallel_for(0, samples, 16, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
          const auto at = static_cast<size_t>(i);
          const QuadTree::Force force = force_on(at);
          normalisers_[at] = force.sum;
          repulsion_[2 * at] = force.x;
          repulsion_[2 * at + 1] = force.y;
        }
      });
    };
    if (theta_ > 0) {
      const QuadTree tree(points_);
      compute([&](size_t point) { return tree.force_on(point, theta_); });
    } else {
      const AllPairs all(points_);
      compute([&](size_t point) { return all.force_on(point); });
    }
  }

  void compute_gradient(double exaggeration) {
    compute_repulsion();
    const auto samples = static_cast<int64_t>(points_.size() / 2);
    double normaliser = 0;  // in one order, whatever the number of threads
    for (const double one : normalisers_) {
      normaliser += one;
    }
    at::parallel_for(0, samples, 64, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const auto at = static_cast<size_t>(i);
        double x = 0;
        double y = 0;
        for (size_t j = similarities_.begin[at]; j < similarities_.begin[at + 1]; ++j) {
          const auto other = static_cast<size_t>(similarities_.place[j]);
          const double dx = points_[2 * at] - points_[2 * other];
          const double dy = points_[2 * at + 1] - points_[2 * other + 1];
          const double pull = exaggeration * similarities_.value[j] / (1 + dx * dx + dy * dy);
          x += pull * dx;
          y += pull * dy;
        }
        gradient_[2 * at] = 4 * (x - repulsion_[2 * at] / normaliser);
        gradient_[2 * at + 1] = 4 * (y - repulsion_[2 * at + 1] / normaliser);
      }
    });
  }

  const Similarities& similarities_;
  std::vector<double> points_;
  double theta_;
  double rate_;
  std::vector<double> gradient_;
  std::vector<double> update_;
  std::vector<double> gains_;
  std::vector<double> repulsion_;
  std::vector<double> normalisers_;
};

/// The first two principal components, the first with a deviation of 1e-4.
std::vector<double> start_of(const at::Tensor& features) {
  std::vector<double> points = principal_plane(features);
  double squares = 0;
  for (size_t i = 0; i < points.size(); i += 2) {
    squares += points[i] * points[i];
  }
  const double deviation = std::sqrt(squares / static_cast<double>(points.size() / 2));
  for (double& value : points) {
    value *= deviation > 0 ? 1e-4 / deviation : 0;
  }
  return points;
}

}  // namespace

at::Tensor tsne(const at::Tensor& features, const TsneOptions& options) {
  constexpr double exaggeration = 12;
  constexpr int64_t exaggerated = 250;
  constexpr int64_t least_for_trees = 5000;
  const at::Tensor numbers = checked_features(features);
  const int64_t samples = numbers.size(0);
  if (samples < least_placed) {
    fail_input("t-SNE places {} samples at least, and there are {}", least_placed, samples);
  }
  const double perplexity = std::min(options.perplexity, static_cast<double>(samples - 1) / 3);
  const double rate = options.learning_rate > 0
                          ? options.learning_rate
                          : std::max(static_cast<double>(samples) / exaggeration / 4, 50.0);
  const Similarities similar = similarities(numbers, std::max(perplexity, 1.0));
  const double theta = options.theta.value_or(samples < least_for_trees ? 0 : 0.5);
  Descent descent(similar, start_of(numbers), theta, rate);
  const int64_t turn = std::min(exaggerated, options.iterations / 2);
  for (int64_t i = 0; i < options.iterations; ++i) {
    if (i == turn) {
      descent.restart();
    }
    const bool early = i < turn;
    descent.step(early ? exaggeration : 1.0, early ? 0.5 : 0.8);
    if (options.after_iteration) {
      options.after_iteration();
    }
  }
  at::Tensor points = at::empty({samples, 2}, at::kDouble);
  std::copy(descent.points().begin(), descent.points().end(), points.data_ptr<double>());
  return points;
}

}  // namespace bissl::host
