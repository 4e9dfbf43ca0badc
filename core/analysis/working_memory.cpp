#include "analysis/working_memory.h"

#include "analysis/neighbours.h"

#include <algorithm>
#include <string_view>

namespace bissl::host {
namespace {

/// Matrices that functions of core/analysis hold, in bytes.
struct Matrices {
  double features;  ///< (N, D), double
  double product;   ///< (m, m), double, m = min(N, D)
  double width;     ///< (D, D), double
  double nearness;  ///< of a search for neighbours

  explicit Matrices(const AnalysedSize& size) {
    const auto samples = static_cast<double>(size.samples);
    const auto numbers = static_cast<double>(size.width);
    const double smaller = std::min(samples, numbers);
    features = samples * numbers * sizeof(double);
    product = smaller * smaller * sizeof(double);
    width = numbers * numbers * sizeof(double);
    nearness = nearness_bytes(size.samples, size.samples);
  }

  /// checked_features: the features, their magnitudes, and what is compared.
  double checked() const { return 2.375 * features; }
};

/// Distances of `rows` samples at once to `others`, double.
double block_bytes(int64_t rows, int64_t others) {
  return static_cast<double>(rows) * static_cast<double>(others) * sizeof(double);
}

double bytes_of_features(std::string_view name, const AnalysedSize& size) {
  const Matrices m(size);
  if (name == "feature_std") {
    return m.checked();
  }
  if (name == "uniformity") {
    constexpr int64_t block = 512;
    const int64_t rows = std::min(size.samples, block);
    return std::max(m.checked(),
                    m.features + block_bytes(rows, std::max(size.samples - block, rows)));
  }
  if (name == "two_nn" || name == "intrinsic_dimension") {
    return std::max(3 * m.features, 2 * m.features + m.nearness);
  }
  if (name == "rankme") {
    return std::max(m.checked(), m.features + 2 * m.product);
  }
  return std::max(3 * m.features, 2 * m.features + 2 * m.product);
}

double bytes_of_classes(std::string_view name, const AnalysedSize& size) {
  const Matrices m(size);
  if (name == "silhouette") {
    constexpr int64_t block = 512;
    const double one_hot = block_bytes(size.samples, size.classes);
    return std::max(m.checked(), m.features + one_hot +
                                     block_bytes(std::min(size.samples, block), size.samples));
  }
  return 3 * m.features;
}

double bytes_of_views(std::string_view name, AnalysedSize size) {
  size.samples *= size.views;
  const Matrices m(size);
  if (name != "lidar") {
    return m.checked();
  }
  // The views, their deviations from their means and the deviations' other layout beside the first
  // products; then covariances, their root, and what joins them.
  return std::max(3 * m.features + 3 * m.width, 2 * m.features + 8 * m.width);
}

double bytes_of_networks(std::string_view name, const AnalysedSize& size) {
  const Matrices m(size);
  const double both = 6 * m.features;  // with their means and without, and two of magnitudes
  return name == "subspace_overlap" ? std::max(both, 2 * m.features + 4 * m.product)
                                    : std::max(both, 3 * m.features + 3 * m.product);
}

}  // namespace

double figure_bytes(const FigureInfo& figure, const AnalysedSize& size) {
  switch (figure.input) {
    case FigureInput::features:
      return bytes_of_features(figure.name, size);
    case FigureInput::classes:
      return bytes_of_classes(figure.name, size);
    case FigureInput::views:
      return bytes_of_views(figure.name, size);
    case FigureInput::networks:
      return bytes_of_networks(figure.name, size);
  }
  return 0;
}

double components_bytes(const AnalysedSize& size) {
  const Matrices m(size);
  return std::max(4 * m.features, 2 * m.features + 4 * m.product);  // the product, and LAPACK's
}

double tsne_bytes(const AnalysedSize& size, int64_t neighbours) {
  const Matrices m(size);
  const auto pairs =
      static_cast<double>(size.samples) * static_cast<double>(std::min(neighbours, size.samples));
  constexpr double of_pair = 112;  // in the search, and twice, with room to grow, in two lists
  return std::max(components_bytes(size), 2 * m.features + m.nearness + of_pair * pairs);
}

double umap_bytes(const AnalysedSize& size, int64_t neighbours) {
  const Matrices m(size);
  const auto pairs =
      static_cast<double>(size.samples) * static_cast<double>(std::min(neighbours, size.samples));
  constexpr double of_pair = 224;  // in the search, its distance, two nodes of maps, two edges
  return std::max(components_bytes(size), 2 * m.features + m.nearness + of_pair * pairs);
}

double trustworthiness_bytes(const AnalysedSize& size) {
  constexpr int64_t block = 256;
  constexpr double matrices = 5;
  const Matrices m(size);
  return std::max(m.checked(),
                  m.features + matrices * block_bytes(std::min(size.samples, block), size.samples));
}

}  // namespace bissl::host
