#include "analysis/spectrum.h"

#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/matmul.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bissl::host {
namespace {

constexpr const char* all_equal = "all features are equal";

/// Of the matrix as it is.
std::vector<double> values_of(const at::Tensor& matrix) {
  const bool tall = matrix.size(0) > matrix.size(1);
  const at::Tensor gram = tall ? at::matmul(matrix.t(), matrix) : at::matmul(matrix, matrix.t());
  const at::Tensor squares = at::linalg_eigvalsh(gram).contiguous();
  const double* first = squares.data_ptr<double>();
  std::vector<double> values(first, first + squares.size(0));
  std::reverse(values.begin(), values.end());
  for (double& value : values) {
    value = std::sqrt(std::max(value, 0.0));
  }
  return values;
}

std::vector<double> values_of_centred(const at::Tensor& features) {
  const at::Tensor numbers = checked_features(features);
  const at::Tensor centre = centred(numbers);
  // What is left of equal rows is the rounding of their mean.
  const double scale = numbers.abs().max().item<double>();
  if (centre.abs().max().item<double>() <= 1e-12 * scale) {
    return std::vector<double>(static_cast<size_t>(std::min(centre.size(0), centre.size(1))), 0.0);
  }
  return values_of(centre);
}

/// exp of the entropy of the shares, with `epsilon` added to each.
double exponential_entropy(const std::vector<double>& values, double epsilon) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  double entropy = 0;
  for (const double value : values) {
    const double share = value / sum + epsilon;
    entropy -= share > 0 ? share * std::log(share) : 0.0;
  }
  return std::exp(entropy);
}

}  // namespace

std::vector<double> singular_values(const at::Tensor& features) {
  return values_of(checked_features(features));
}

Measured rankme(const at::Tensor& features) {
  constexpr double epsilon = 1e-7;
  const std::vector<double> values = singular_values(features);
  return values.front() > 0 ? Measured(exponential_entropy(values, epsilon))
                            : Measured::none("all features are 0");
}

Measured effective_rank(const at::Tensor& features) {
  const std::vector<double> values = values_of_centred(features);
  return values.front() > 0 ? Measured(exponential_entropy(values, 0)) : Measured::none(all_equal);
}

Measured participation_ratio(const at::Tensor& features) {
  double sum = 0;
  double squares = 0;
  for (const double value : values_of_centred(features)) {
    sum += value * value;
    squares += value * value * value * value;
  }
  return sum > 0 ? Measured(sum * sum / squares) : Measured::none(all_equal);
}

Measured alpha_req(const at::Tensor& features) {
  constexpr size_t most = 50;
  constexpr double smallest = 1e-10;  // of the largest eigenvalue
  std::vector<double> logarithms;
  const std::vector<double> values = values_of_centred(features);
  for (const double value : values) {
    const double share = values.front() > 0 ? value * value / (values.front() * values.front()) : 0;
    if (share <= smallest || logarithms.size() == most) {
      break;
    }
    logarithms.push_back(std::log(share));
  }
  if (logarithms.size() < 3) {
    return Measured::none("fewer than 3 eigenvalues of the covariance are not 0");
  }
  const auto count = static_cast<double>(logarithms.size());
  double mean_x = 0;
  double mean_y = 0;
  for (size_t i = 0; i < logarithms.size(); ++i) {
    mean_x += std::log(static_cast<double>(i + 1)) / count;
    mean_y += logarithms[i] / count;
  }
  double product = 0;
  double square = 0;
  for (size_t i = 0; i < logarithms.size(); ++i) {
    const double x = std::log(static_cast<double>(i + 1)) - mean_x;
    product += x * (logarithms[i] - mean_y);
    square += x * x;
  }
  return -product / square;
}

}  // namespace bissl::host
