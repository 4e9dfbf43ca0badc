#include "stages/knn/classifier.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

/// (similarity, place in the bank)
using Neighbour = std::pair<float, int64_t>;

bool is_nearer(const Neighbour& a, const Neighbour& b) {
  return a.first > b.first || (a.first == b.first && a.second < b.second);
}

/// The length of each row, at least a little.
at::Tensor lengths(const at::Tensor& features) {
  constexpr double smallest = 1e-12;
  return at::linalg_vector_norm(features, 2, at::IntArrayRef{1}, /*keepdim=*/true)
      .clamp_min(smallest);
}

/// Keeps the k nearest in a heap whose front is the farthest of them.
void offer(std::vector<Neighbour>& nearest, size_t k, const Neighbour& one) {
  if (nearest.size() < k) {
    nearest.push_back(one);
    std::push_heap(nearest.begin(), nearest.end(), is_nearer);
  } else if (is_nearer(one, nearest.front())) {
    std::pop_heap(nearest.begin(), nearest.end(), is_nearer);
    nearest.back() = one;
    std::push_heap(nearest.begin(), nearest.end(), is_nearer);
  }
}

}  // namespace

KnnClassifier::KnnClassifier(at::Tensor bank, at::Tensor labels, int64_t classes,
                             const Options& options)
    : bank_(std::move(bank)), labels_(std::move(labels)), classes_(classes), options_(options) {
  bank_.div_(lengths(bank_));
}

at::Tensor KnnClassifier::votes(const at::Tensor& features) const {
  const at::Tensor queries = features.div(lengths(features));
  const int64_t rows = queries.size(0);
  const auto k = static_cast<size_t>(options_.k);
  std::vector<std::vector<Neighbour>> nearest(static_cast<size_t>(rows));
  for (int64_t begin = 0; begin < bank_.size(0); begin += block_rows) {
    const int64_t count = std::min(block_rows, bank_.size(0) - begin);
    const at::Tensor similarities =
        at::matmul(queries, bank_.narrow(0, begin, count).t()).cpu().contiguous();
    const float* values = similarities.data_ptr<float>();
    at::parallel_for(0, rows, 1, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) {
        for (int64_t i = 0; i < count; ++i) {
          offer(nearest[static_cast<size_t>(row)], k, {values[row * count + i], begin + i});
        }
      }
    });
  }
  at::Tensor votes = at::zeros({rows, classes_}, at::kDouble);
  auto* out = votes.data_ptr<double>();
  const int64_t* labels = labels_.data_ptr<int64_t>();
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<Neighbour>& found = nearest[static_cast<size_t>(row)];
    std::sort(found.begin(), found.end(), is_nearer);  // one order of the sums
    for (const auto& [similarity, place] : found) {
      out[row * classes_ + labels[place]] +=
          std::exp((static_cast<double>(similarity) - static_cast<double>(found.front().first)) /
                   options_.temperature);
    }
  }
  return votes;
}

at::Tensor ranks_of(const at::Tensor& votes, const at::Tensor& targets) {
  const int64_t rows = votes.size(0);
  const int64_t classes = votes.size(1);
  at::Tensor ranks = at::empty({rows}, at::kLong);
  const double* of_rows = votes.data_ptr<double>();
  for (int64_t row = 0; row < rows; ++row) {
    const double* values = of_rows + row * classes;
    const int64_t target = targets.data_ptr<int64_t>()[row];
    int64_t rank = 0;
    for (int64_t other = 0; other < classes; ++other) {
      const bool beaten = values[other] > values[target] ||
                          (values[other] == values[target] && other < target) ||
                          values[target] == 0.0;
      rank += other != target && beaten ? 1 : 0;
    }
    ranks.data_ptr<int64_t>()[row] = rank;
  }
  return ranks;
}

}  // namespace bissl::host
