#include "analysis/all_pairs.h"

#include <cstring>

namespace bissl::host {
namespace {

/// Two numbers that are computed with at once: every processor has instructions for that, and the
/// order of the sums is the same everywhere.
using Two = double __attribute__((vector_size(16)));

void load(const double* from, Two& two) { std::memcpy(&two, from, sizeof two); }

}  // namespace

AllPairs::AllPairs(const std::vector<double>& points) {
  for (size_t i = 0; i < points.size(); i += 2) {
    x_.push_back(points[i]);
    y_.push_back(points[i + 1]);
  }
  // A point that makes them even has a weight of 0: the square of its distance is infinite.
  constexpr double far_away = 1e200;
  if (x_.size() % 2 != 0) {
    x_.push_back(far_away);
    y_.push_back(far_away);
  }
}

QuadTree::Force AllPairs::force_on(size_t point) const {
  const Two one = {1, 1};
  const Two own_x = {x_[point], x_[point]};
  const Two own_y = {y_[point], y_[point]};
  Two sum = {0, 0};
  Two along_x = {0, 0};
  Two along_y = {0, 0};
  for (size_t i = 0; i < x_.size(); i += 2) {
    Two dx;
    Two dy;
    load(x_.data() + i, dx);
    load(y_.data() + i, dy);
    dx = own_x - dx;
    dy = own_y - dy;
    const Two weight = one / (one + dx * dx + dy * dy);
    const Two squared = weight * weight;
    sum += weight;
    along_x += squared * dx;
    along_y += squared * dy;
  }
  // The point itself has a weight of 1, and pushes nowhere.
  return {sum[0] + sum[1] - 1, along_x[0] + along_x[1], along_y[0] + along_y[1]};
}

}  // namespace bissl::host
