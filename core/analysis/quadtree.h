#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bissl::host {

/// Points of a plane in cells of cells, for sums over all pairs that fall with the distance (Barnes
/// and Hut 1986), as t-SNE's repulsion does. Equal points share a leaf.
class QuadTree {
 public:
  /// `points`: x and y in turn, finite; they must outlive the tree.
  explicit QuadTree(const std::vector<double>& points);

  /// On point i by all others j, with w = 1/(1 + ‖y_i − y_j‖²): Σ w, and Σ w²·(y_i − y_j).
  struct Force {
    double sum = 0;
    double x = 0;
    double y = 0;
  };
  /// A cell whose width is less than θ times the distance to its centre of mass is taken as one
  /// point.
  Force force_on(size_t point, double theta) const;

 private:
  struct Cell {
    double x = 0;  ///< of the centre of mass
    double y = 0;
    double width = 0;
    int64_t count = 0;
    size_t begin = 0;    ///< of its points in order_
    int32_t first = -1;  ///< of its children, which lie one after the other; −1: a leaf
    int32_t children = 0;
  };

  void split(size_t cell, size_t end, double left, double top, int depth);

  const std::vector<double>& points_;
  std::vector<size_t> order_;
  std::vector<Cell> cells_;
};

}  // namespace bissl::host
