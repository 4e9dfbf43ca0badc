#pragma once

#include "analysis/measured.h"
#include "analysis/neighbours.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace bissl::host {

// Features (N, D) as points of a plane, or of few dimensions. Nothing here depends on the number of
// threads: sums whose order does are computed by one (OneThread).

/// Principal components: the directions of largest variance.
struct Components {
  at::Tensor points;           ///< (N, count), double: positions along them
  std::vector<double> shares;  ///< of the variance, by component
};

/// The first `count` components, at most min(N, D). The sign of each is such that the coordinate of
/// its direction with the largest magnitude is positive. Where all features are equal, points are 0
/// and so are the shares.
Components principal_components(const at::Tensor& features, int64_t count);

/// The `count` nearest others of each sample by Euclidean distance, as nearest_rows has them.
/// `features` are double; distances are computed in single precision, from the mean. `count` is
/// less than N.
std::vector<std::vector<Neighbour>> nearest_samples(const at::Tensor& features, int64_t count);

/// Positions along the first two principal components, x and y in turn: 2·N numbers.
std::vector<double> principal_plane(const at::Tensor& features);

struct TsneOptions {
  double perplexity = 30;  ///< the number of neighbours that count; at most (N − 1)/3
  int64_t iterations = 1000;
  double learning_rate = 0;  ///< 0: max(N/48, 50), as scikit-learn's "auto"
  /// Of Barnes–Hut: cells whose width is below θ times their distance act as one point. 0: none do,
  /// the repulsion is exact. Unset: 0 for fewer than 5,000 samples, 0.5 for more.
  std::optional<double> theta = {};
  /// Called after each iteration; may throw to stop. Unset: nothing is called.
  std::function<void()> after_iteration = {};
};

/// The fewest samples of which a plane is made by t-SNE and UMAP.
inline constexpr int64_t least_placed = 4;

/// t-SNE (van der Maaten and Hinton 2008; van der Maaten 2014 for trees and the neighbours beyond
/// which similarities are 0: about three times the perplexity, in both forms): (N, 2), double.
/// Starts from the first two principal components, scaled to a deviation of 1e-4, as Kobak and
/// Berens 2019 advise, so it needs no random numbers: equal features give equal points, with any
/// number of threads. Throws Error(input) for fewer than `least_placed` samples.
at::Tensor tsne(const at::Tensor& features, const TsneOptions& options);

/// 1/(1 + a·d^(2b)): how much points at a distance d belong together in a picture of UMAP.
struct UmapCurve {
  double a = 0;
  double b = 0;
};

/// The curve nearest (least squares at 300 places from 0 to 3) to 1 up to `least_distance` and
/// exp(−(d − least_distance)) beyond it. `least_distance` is 0 or more and less than 3.
UmapCurve umap_curve(double least_distance);

/// How much two samples belong together, 0 to 1.
struct UmapEdge {
  size_t from = 0;
  size_t to = 0;
  double weight = 0;
};

/// Both directions of each pair of neighbours, by `from` and `to` (algorithms 2 and 3 of the
/// paper): w + w' − w·w' of the weights that the two samples give each other by Euclidean distance.
/// `neighbours` counts the sample itself.
std::vector<UmapEdge> umap_edges(const at::Tensor& features, int64_t neighbours);

struct UmapOptions {
  int64_t neighbours = 15;      ///< of a sample, itself included; at most N count
  double least_distance = 0.1;  ///< how near points may come that belong together
  int64_t epochs = 0;           ///< 0: 500 for up to 10,000 samples, 200 for more
  uint64_t seed = 0;            ///< of the samples that repel, and of the start's noise
  /// Called after each epoch; may throw to stop. Unset: nothing is called.
  std::function<void()> after_epoch = {};
};

/// UMAP (McInnes, Healy and Melville 2018, arXiv 1802.03426): (N, 2), double. With exact neighbours
/// by Euclidean distance, started from the first two principal components, on one thread: equal
/// features and seeds give equal points. Throws Error(input) for fewer than `least_placed` samples.
at::Tensor umap(const at::Tensor& features, const UmapOptions& options);

/// How many of the k nearest neighbours in the plane are near in the features, too (Venna and Kaski
/// 2001): 1 − 2/(N·k·(2N − 3k − 1))·Σ_i Σ_j max(0, r(i, j) − k) over the k neighbours j of i in the
/// plane, r the rank of j by its distance in the features. 0 to 1, higher is better. N must be more
/// than 2·k.
Measured trustworthiness(const at::Tensor& features, const at::Tensor& points, int64_t k);

}  // namespace bissl::host
