#include "stages/knn/classifier.h"

#include "analysis/neighbours.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <utility>
#include <vector>

namespace bissl::host {
namespace {

/// The length of each row, at least a little.
at::Tensor lengths(const at::Tensor& features) {
  constexpr double smallest = 1e-12;
  return at::linalg_vector_norm(features, 2, at::IntArrayRef{1}, /*keepdim=*/true)
      .clamp_min(smallest);
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
  const std::vector<std::vector<Neighbour>> nearest =
      nearest_rows(bank_, queries, {.k = options_.k, .nearness = Nearness::product});
  at::Tensor votes = at::zeros({rows, classes_}, at::kDouble);
  auto* out = votes.data_ptr<double>();
  const int64_t* labels = labels_.data_ptr<int64_t>();
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<Neighbour>& found = nearest[static_cast<size_t>(row)];
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
