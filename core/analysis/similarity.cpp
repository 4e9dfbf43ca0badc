#include "analysis/similarity.h"

#include "bissl/error.h"

#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/matmul.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bissl::host {
namespace {

constexpr const char* equal_features = "all features of one side are equal";

std::pair<at::Tensor, at::Tensor> compared(const at::Tensor& one, const at::Tensor& other) {
  const at::Tensor left = checked_features(one);
  const at::Tensor right = checked_features(other);
  if (left.size(0) != right.size(0)) {
    fail_input("features of {} samples are compared with those of {}: they must be of the same",
               left.size(0), right.size(0));
  }
  const auto centre = [](const at::Tensor& features) {
    const at::Tensor off = centred(features);
    const bool equal =
        off.abs().max().item<double>() <= 1e-12 * features.abs().max().item<double>();
    return equal ? off.mul(0) : off;
  };
  return {centre(left), centre(right)};
}

/// ‖Xᵀ·Y‖², by way of the smaller of the products.
double squared_product(const at::Tensor& x, const at::Tensor& y) {
  if (x.size(1) > x.size(0) && y.size(1) > x.size(0)) {
    return at::matmul(x, x.t()).mul(at::matmul(y, y.t())).sum().item<double>();
  }
  return at::matmul(x.t(), y).pow(2).sum().item<double>();
}

/// The unbiased estimate of the same, up to a factor that is the same for all pairs.
double unbiased_product(const at::Tensor& x, const at::Tensor& y) {
  const auto n = static_cast<double>(x.size(0));
  const at::Tensor of_x = x.pow(2).sum(at::IntArrayRef{1});
  const at::Tensor of_y = y.pow(2).sum(at::IntArrayRef{1});
  return squared_product(x, y) - n / (n - 2) * of_x.mul(of_y).sum().item<double>() +
         of_x.sum().item<double>() * of_y.sum().item<double>() / ((n - 1) * (n - 2));
}

/// An orthonormal basis (N, k) of the space that the first principal components span.
at::Tensor component_basis(const at::Tensor& centre, int64_t directions) {
  constexpr double smallest = 1e-10;  // of the largest eigenvalue
  const bool tall = centre.size(0) > centre.size(1);
  const auto [values, vectors] =
      at::linalg_eigh(tall ? at::matmul(centre.t(), centre) : at::matmul(centre, centre.t()));
  const double largest = values.max().item<double>();
  const int64_t positive =
      largest > 0 ? values.gt(largest * smallest).sum().item<int64_t>() : int64_t{0};
  const int64_t kept = std::min(directions, positive);
  const int64_t from = values.size(0) - kept;
  const at::Tensor chosen = vectors.narrow(1, from, kept);
  return tall ? at::matmul(centre, chosen).div(values.narrow(0, from, kept).sqrt()) : chosen;
}

}  // namespace

Measured linear_cka(const at::Tensor& one, const at::Tensor& other) {
  const auto [x, y] = compared(one, other);
  const double scale = std::sqrt(squared_product(x, x)) * std::sqrt(squared_product(y, y));
  return scale > 0 ? Measured(squared_product(x, y) / scale) : Measured::none(equal_features);
}

Measured debiased_cka(const at::Tensor& one, const at::Tensor& other) {
  const auto [x, y] = compared(one, other);
  if (x.size(0) < 4) {
    return Measured::none("there are fewer than 4 samples");
  }
  const double of_x = unbiased_product(x, x);
  const double of_y = unbiased_product(y, y);
  if (!(of_x > 0) || !(of_y > 0)) {
    return Measured::none("the samples are too few, or their features equal");
  }
  return unbiased_product(x, y) / (std::sqrt(of_x) * std::sqrt(of_y));
}

std::vector<double> principal_cosines(const at::Tensor& one, const at::Tensor& other,
                                      int64_t directions) {
  const auto [x, y] = compared(one, other);
  const at::Tensor left = component_basis(x, directions);
  const at::Tensor right = component_basis(y, directions);
  const int64_t kept = std::min(left.size(1), right.size(1));
  if (kept == 0) {
    return {};
  }
  const at::Tensor cosines =
      at::linalg_svdvals(at::matmul(left.t(), right)).clamp(0, 1).contiguous();
  return {cosines.data_ptr<double>(), cosines.data_ptr<double>() + kept};
}

Measured subspace_overlap(const at::Tensor& one, const at::Tensor& other) {
  const std::vector<double> cosines = principal_cosines(one, other, overlap_directions);
  if (cosines.empty()) {
    return Measured::none(equal_features);
  }
  double sum = 0;
  for (const double cosine : cosines) {
    sum += cosine * cosine;
  }
  return sum / static_cast<double>(cosines.size());
}

}  // namespace bissl::host
