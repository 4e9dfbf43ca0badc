#pragma once

#include "analysis/quadtree.h"

#include <cstddef>
#include <vector>

namespace bissl::host {

/// The exact sums of QuadTree::force_on, without a tree: straight through all points.
class AllPairs {
 public:
  /// `points`: x and y in turn, of magnitudes below 1e100.
  explicit AllPairs(const std::vector<double>& points);

  /// On this point by all others.
  QuadTree::Force force_on(size_t point) const;

 private:
  std::vector<double> x_;
  std::vector<double> y_;
};

}  // namespace bissl::host
