#include "analysis/quadtree.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace bissl::host {

QuadTree::QuadTree(const std::vector<double>& points) : points_(points), order_(points.size() / 2) {
  std::iota(order_.begin(), order_.end(), size_t{0});
  if (order_.empty()) {
    return;
  }
  double left = points[0];
  double right = points[0];
  double top = points[1];
  double bottom = points[1];
  for (size_t i = 0; i < points.size(); i += 2) {
    left = std::min(left, points[i]);
    right = std::max(right, points[i]);
    top = std::min(top, points[i + 1]);
    bottom = std::max(bottom, points[i + 1]);
  }
  cells_.reserve(2 * order_.size());
  cells_.push_back({.width = std::max(right - left, bottom - top), .begin = 0});
  split(0, order_.size(), left, top, 0);
}

void QuadTree::split(size_t cell, size_t end, double left, double top, int depth) {
  constexpr int deepest = 48;
  constexpr size_t leaf = 4;
  const size_t begin = cells_[cell].begin;
  const auto count = static_cast<double>(end - begin);
  double x = 0;
  double y = 0;
  for (size_t i = begin; i < end; ++i) {
    x += points_[2 * order_[i]];
    y += points_[2 * order_[i] + 1];
  }
  cells_[cell].x = x / count;
  cells_[cell].y = y / count;
  cells_[cell].count = static_cast<int64_t>(end - begin);
  if (end - begin <= leaf || depth == deepest || cells_[cell].width <= 0) {
    return;
  }
  const double half = cells_[cell].width / 2;
  const auto quarter = [&](size_t point) {
    return (points_[2 * point] >= left + half ? 1 : 0) +
           (points_[2 * point + 1] >= top + half ? 2 : 0);
  };
  const auto first = order_.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto last = order_.begin() + static_cast<std::ptrdiff_t>(end);
  std::stable_sort(first, last, [&](size_t a, size_t b) { return quarter(a) < quarter(b); });
  struct Part {
    size_t end;
    int quarter;
  };
  std::array<Part, 4> parts{};
  int32_t children = 0;
  const auto first_child = static_cast<int32_t>(cells_.size());
  for (size_t at = begin; at < end;) {
    const int here = quarter(order_[at]);
    size_t stop = at;
    while (stop < end && quarter(order_[stop]) == here) {
      ++stop;
    }
    parts[static_cast<size_t>(children++)] = {stop, here};
    cells_.push_back({.width = half, .begin = at});
    at = stop;
  }
  cells_[cell].first = first_child;
  cells_[cell].children = children;
  for (int32_t i = 0; i < children; ++i) {
    const auto [stop, here] = parts[static_cast<size_t>(i)];
    split(static_cast<size_t>(first_child + i), stop, left + ((here & 1) != 0 ? half : 0),
          top + ((here & 2) != 0 ? half : 0), depth + 1);
  }
}

QuadTree::Force QuadTree::force_on(size_t point, double theta) const {
  const double x = points_[2 * point];
  const double y = points_[2 * point + 1];
  Force force;
  const auto add = [&](double from_x, double from_y, double count) {
    const double dx = x - from_x;
    const double dy = y - from_y;
    const double weight = 1 / (1 + dx * dx + dy * dy);
    force.sum += count * weight;
    force.x += count * weight * weight * dx;
    force.y += count * weight * weight * dy;
  };
  std::array<int32_t, 4 * 64> waiting{};  // at most 3 siblings a level besides the one looked at
  size_t height = 0;
  waiting[height++] = 0;
  while (height > 0) {
    const Cell& cell = cells_[static_cast<size_t>(waiting[--height])];
    const double dx = x - cell.x;
    const double dy = y - cell.y;
    if (cell.width * cell.width < theta * theta * (dx * dx + dy * dy)) {
      add(cell.x, cell.y, static_cast<double>(cell.count));
    } else if (cell.first >= 0) {
      for (int32_t i = 0; i < cell.children; ++i) {
        waiting[height++] = cell.first + i;
      }
    } else {
      for (size_t i = cell.begin; i < cell.begin + static_cast<size_t>(cell.count); ++i) {
        if (order_[i] != point) {
          add(points_[2 * order_[i]], points_[2 * order_[i] + 1], 1);
        }
      }
    }
  }
  return force;
}

}  // namespace bissl::host
