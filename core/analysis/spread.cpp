#include "analysis/spread.h"

#include "analysis/classes.h"
#include "bissl/error.h"

#include <ATen/ops/diag.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/matmul.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

constexpr const char* one_sample = "there is one sample";
constexpr const char* one_view_each = "there is one view of each image";
constexpr const char* same_features = "all images have the same features";

/// The mean of |x − y|² over all pairs of unit rows, as often as there are pairs, and their number.
struct Pairs {
  double sum = 0;
  double number = 0;

  /// All pairs of these rows. Σ over i ≠ j of x_i·x_j is ‖Σ x‖² − Σ ‖x‖². Rounding makes the
  /// difference of equal rows slightly negative.
  void add(const at::Tensor& rows) {
    const auto count = static_cast<double>(rows.size(0));
    const double squares = rows.pow(2).sum().item<double>();
    const double of_sum = rows.sum(at::IntArrayRef{0}).pow(2).sum().item<double>();
    sum += std::max(0.0, count * squares - of_sum);
    number += count * (count - 1) / 2;
  }
};

at::Tensor checked_views(const at::Tensor& views) {
  if (!views.defined() || views.dim() != 3) {
    fail_input("features of views must be of the shape (images, views, features)");
  }
  return checked_features(views.flatten(0, 1)).view(views.sizes());
}

}  // namespace

Measured feature_std(const at::Tensor& features) {
  const at::Tensor unit = unit_rows(checked_features(features));
  if (unit.size(0) < 2) {
    return Measured::none(one_sample);
  }
  return unit.std(at::IntArrayRef{0}, /*unbiased=*/true).mean().item<double>() *
         std::sqrt(static_cast<double>(unit.size(1)));
}

Measured uniformity(const at::Tensor& features) {
  constexpr int64_t rows = 512;
  const at::Tensor unit = unit_rows(checked_features(features));
  const int64_t count = unit.size(0);
  if (count < 2) {
    return Measured::none(one_sample);
  }
  const at::Tensor squares = unit.pow(2).sum(at::IntArrayRef{1});
  double sum = 0;
  for (int64_t begin = 0; begin < count; begin += rows) {
    const int64_t here = std::min(rows, count - begin);
    // Pairs with this block's rows and those before it; each pair within the block comes twice.
    const at::Tensor block = unit.narrow(0, begin, here);
    const auto of = [&](int64_t from, int64_t number) {
      return at::matmul(block, unit.narrow(0, from, number).t())
          .mul_(-2)
          .add_(squares.narrow(0, from, number).unsqueeze(0))
          .add_(squares.narrow(0, begin, here).unsqueeze(1))
          .clamp_min_(0)
          .mul_(-2)
          .exp_()
          .sum()
          .item<double>();
    };
    sum += begin > 0 ? of(0, begin) : 0.0;
    sum += (of(begin, here) - static_cast<double>(here)) / 2;
  }
  return std::log(sum / (static_cast<double>(count) * static_cast<double>(count - 1) / 2));
}

Measured class_alignment(const at::Tensor& features, const at::Tensor& labels) {
  const at::Tensor unit = unit_rows(checked_features(features));
  const Grouping groups(labels, unit.size(0));
  Pairs pairs;
  for (const at::Tensor& members : groups.members()) {
    pairs.add(unit.index_select(0, members));
  }
  return pairs.number > 0 ? Measured(pairs.sum / pairs.number)
                          : Measured::none("no class has two samples");
}

Measured alignment(const at::Tensor& views) {
  const at::Tensor all = checked_views(views);
  Pairs pairs;
  for (int64_t i = 0; i < all.size(0); ++i) {
    pairs.add(unit_rows(all.select(0, i)));
  }
  return pairs.number > 0 ? Measured(pairs.sum / pairs.number) : Measured::none(one_view_each);
}

Measured lidar(const at::Tensor& views) {
  constexpr double delta = 1e-4;
  constexpr double epsilon = 1e-8;
  const at::Tensor all = checked_views(views);
  const int64_t images = all.size(0);
  const int64_t each = all.size(1);
  const int64_t width = all.size(2);
  if (images < 2 || each < 2) {
    return Measured::none(each < 2 ? one_view_each : "there are views of one image alone");
  }
  const at::Tensor means = all.mean(at::IntArrayRef{1});
  const at::Tensor around = centred(means);
  // What is left of equal means is the rounding of theirs.
  if (around.abs().max().item<double>() <= 1e-12 * all.abs().max().item<double>()) {
    return Measured::none(same_features);
  }
  const at::Tensor between = at::matmul(around.t(), around).div(static_cast<double>(images - 1));
  const at::Tensor off = all.sub(means.unsqueeze(1)).flatten(0, 1);
  const at::Tensor within = at::matmul(off.t(), off)
                                .div(static_cast<double>(images * (each - 1)))
                                .add(at::eye(width, at::kDouble).mul(delta));
  const auto [values, vectors] = at::linalg_eigh(within);
  const at::Tensor root =
      at::matmul(vectors, at::diag(values.clamp_min(delta / 2).rsqrt())).matmul(vectors.t());
  const at::Tensor discriminant = at::matmul(at::matmul(root, between), root);
  const at::Tensor eigenvalues =
      at::linalg_eigvalsh(discriminant.add(discriminant.t()).mul(0.5)).clamp_min(0);
  const double sum = eigenvalues.sum().item<double>();
  if (sum <= 0) {
    return Measured::none(same_features);
  }
  const at::Tensor shares = eigenvalues.div(sum).add(epsilon);
  return std::exp(-shares.mul(shares.log()).sum().item<double>());
}

}  // namespace bissl::host
