#include "analysis/neighbours.h"

#include <ATen/Parallel.h>
#include <ATen/ops/matmul.h>

#include <algorithm>
#include <limits>

namespace bissl::host {
namespace {

bool is_nearer(const Neighbour& a, const Neighbour& b) {
  return a.first > b.first || (a.first == b.first && a.second < b.second);
}

/// Keeps the k nearest in a heap whose front is the farthest of them. `one` comes later in the bank
/// than those that are kept, so where it is equally near it is not nearer.
void offer(std::vector<Neighbour>& nearest, size_t k, const Neighbour& one) {
  if (nearest.size() == k) {
    std::pop_heap(nearest.begin(), nearest.end(), is_nearer);
    nearest.back() = one;
  } else {
    nearest.push_back(one);
  }
  std::push_heap(nearest.begin(), nearest.end(), is_nearer);
}

/// Offers `count` rows of the bank from `begin`, but for the one at `left_out`.
void offer_all(std::vector<Neighbour>& nearest, size_t k, const float* values, int64_t begin,
               int64_t count, int64_t left_out) {
  constexpr float lowest = -std::numeric_limits<float>::infinity();
  float farthest = nearest.size() == k ? nearest.front().first : lowest;
  for (int64_t i = 0; i < count; ++i) {
    if ((values[i] > farthest || nearest.size() < k) && begin + i != left_out) {
      offer(nearest, k, {values[i], begin + i});
      farthest = nearest.size() == k ? nearest.front().first : lowest;
    }
  }
}

at::Tensor squared_lengths(const at::Tensor& rows) { return rows.pow(2).sum(at::IntArrayRef{1}); }

at::Tensor nearness_of(const at::Tensor& queries, const at::Tensor& bank, Nearness nearness) {
  at::Tensor values = at::matmul(queries, bank.t());
  if (nearness == Nearness::euclidean) {
    values = values.mul_(2)
                 .sub_(squared_lengths(bank).unsqueeze(0))
                 .sub_(squared_lengths(queries).unsqueeze(1));
  }
  return values.cpu().contiguous();
}

}  // namespace

double nearness_bytes(int64_t bank, int64_t queries) {
  return static_cast<double>(std::min(bank, bank_rows)) *
         static_cast<double>(std::min(queries, query_rows)) * sizeof(float);
}

std::vector<std::vector<Neighbour>> nearest_rows(const at::Tensor& bank, const at::Tensor& queries,
                                                 const NeighbourSearch& search) {
  const int64_t rows = queries.size(0);
  const auto k = static_cast<size_t>(search.k);
  std::vector<std::vector<Neighbour>> nearest(static_cast<size_t>(rows));
  for (int64_t top = 0; top < rows; top += query_rows) {
    const int64_t height = std::min(query_rows, rows - top);
    for (int64_t begin = 0; begin < bank.size(0); begin += bank_rows) {
      const int64_t count = std::min(bank_rows, bank.size(0) - begin);
      const at::Tensor block = nearness_of(queries.narrow(0, top, height),
                                           bank.narrow(0, begin, count), search.nearness);
      const float* values = block.data_ptr<float>();
      at::parallel_for(0, height, 1, [&](int64_t first, int64_t last) {
        for (int64_t row = first; row < last; ++row) {
          offer_all(nearest[static_cast<size_t>(top + row)], k, values + row * count, begin, count,
                    search.leave_out_self ? top + row : int64_t{-1});
        }
      });
    }
  }
  for (std::vector<Neighbour>& found : nearest) {
    std::sort(found.begin(), found.end(), is_nearer);
  }
  return nearest;
}

}  // namespace bissl::host
