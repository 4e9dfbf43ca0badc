#include "analysis/classes.h"

#include "bissl/error.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace bissl::host {
namespace {

constexpr const char* one_class = "there is one class";
constexpr const char* equal_means = "all classes have the same mean";

at::Tensor row_lengths(const at::Tensor& rows) {
  return at::linalg_vector_norm(rows, 2, at::IntArrayRef{1});
}

/// Features, their groups and their means, ready for the scatters.
struct Classes {
  at::Tensor features;
  Grouping groups;
  at::Tensor means;    ///< (C, D)
  at::Tensor centre;   ///< (D), the mean of the samples
  at::Tensor offsets;  ///< means − centre

  Classes(const at::Tensor& given, const at::Tensor& labels)
      : features(checked_features(given)),
        groups(labels, features.size(0)),
        means(groups.means(features)),
        centre(features.mean(at::IntArrayRef{0})),
        offsets(means.sub(centre)) {}

  int64_t count() const { return groups.classes(); }
  /// Each sample minus the mean of its class.
  at::Tensor within() const { return features.sub(means.index_select(0, groups.of_samples())); }
  /// The share of the samples in each class, (C).
  at::Tensor shares() const {
    at::Tensor shares = at::empty({count()}, at::kDouble);
    for (int64_t i = 0; i < count(); ++i) {
      shares.data_ptr<double>()[i] =
          static_cast<double>(groups.members()[static_cast<size_t>(i)].size(0)) /
          static_cast<double>(features.size(0));
    }
    return shares;
  }
  /// Whether the means are equal but for rounding.
  bool means_are_equal() const {
    return offsets.abs().max().item<double>() <= 1e-12 * features.abs().max().item<double>();
  }
  /// Why the means' positions say nothing; empty where they do.
  std::string refusal() const {
    return count() < 2 ? one_class : means_are_equal() ? equal_means : "";
  }
};

}  // namespace

Grouping::Grouping(const at::Tensor& labels, int64_t samples) {
  if (!labels.defined() || labels.dim() != 1 || labels.size(0) != samples) {
    fail_input("there must be one label for each of the {} samples", samples);
  }
  const at::Tensor numbers = labels.to(at::kCPU, at::kLong).contiguous();
  std::map<int64_t, std::vector<int64_t>> by_label;
  for (int64_t i = 0; i < samples; ++i) {
    by_label[numbers.data_ptr<int64_t>()[i]].push_back(i);
  }
  of_samples_ = at::empty({samples}, at::kLong);
  for (const auto& [label, places] : by_label) {
    for (const int64_t place : places) {
      of_samples_.data_ptr<int64_t>()[place] = static_cast<int64_t>(members_.size());
    }
    members_.push_back(at::tensor(places, at::kLong));
  }
}

at::Tensor Grouping::means(const at::Tensor& features) const {
  std::vector<at::Tensor> means;
  for (const at::Tensor& members : members_) {
    means.push_back(features.index_select(0, members).mean(at::IntArrayRef{0}));
  }
  return at::stack(means);
}

Measured silhouette(const at::Tensor& features, const at::Tensor& labels) {
  constexpr int64_t rows = 512;
  const at::Tensor numbers = centred(checked_features(features));
  const int64_t samples = numbers.size(0);
  const Grouping groups(labels, samples);
  const int64_t classes = groups.classes();
  if (classes < 2 || classes == samples) {
    return Measured::none(classes < 2 ? one_class : "each sample has a class of its own");
  }
  // Among equal features all distances are 0, and so is each sample's value.
  if (numbers.abs().max().item<double>() <= 1e-12 * features.abs().max().item<double>()) {
    return 0.0;
  }
  const at::Tensor of_class = at::eye(classes, at::kDouble).index_select(0, groups.of_samples());
  const at::Tensor squares = numbers.pow(2).sum(at::IntArrayRef{1});
  double total = 0;
  for (int64_t begin = 0; begin < samples; begin += rows) {
    const int64_t here = std::min(rows, samples - begin);
    at::Tensor distances = at::matmul(numbers.narrow(0, begin, here), numbers.t())
                               .mul_(-2)
                               .add_(squares.unsqueeze(0))
                               .add_(squares.narrow(0, begin, here).unsqueeze(1))
                               .clamp_min_(0)
                               .sqrt_();
    for (int64_t row = 0; row < here; ++row) {
      distances.data_ptr<double>()[row * samples + begin + row] = 0;  // to itself, exactly
    }
    const at::Tensor sums = at::matmul(distances, of_class).contiguous();
    for (int64_t row = 0; row < here; ++row) {
      const double* of_row = sums.data_ptr<double>() + row * classes;
      const int64_t own = groups.of_samples().data_ptr<int64_t>()[begin + row];
      double nearest = std::numeric_limits<double>::infinity();
      double inside = 0;
      for (int64_t c = 0; c < classes; ++c) {
        const auto size = static_cast<double>(groups.members()[static_cast<size_t>(c)].size(0));
        if (c == own) {
          inside = size > 1 ? of_row[c] / (size - 1) : -1;
        } else {
          nearest = std::min(nearest, of_row[c] / size);
        }
      }
      const double larger = std::max(inside, nearest);
      total += inside >= 0 && larger > 0 ? (nearest - inside) / larger : 0;
    }
  }
  return total / static_cast<double>(samples);
}

Measured davies_bouldin(const at::Tensor& features, const at::Tensor& labels) {
  const Classes classes(features, labels);
  if (classes.count() < 2) {
    return Measured::none(one_class);
  }
  const int64_t count = classes.count();
  const at::Tensor lengths = row_lengths(classes.within());
  std::vector<double> radius;
  for (const at::Tensor& members : classes.groups.members()) {
    radius.push_back(lengths.index_select(0, members).mean().item<double>());
  }
  double sum = 0;
  for (int64_t a = 0; a < count; ++a) {
    double worst = 0;
    for (int64_t b = 0; b < count; ++b) {
      const double distance =
          classes.means.select(0, a).sub(classes.means.select(0, b)).norm().item<double>();
      if (a == b) {
        continue;
      }
      if (distance <= 1e-12 * classes.features.abs().max().item<double>()) {
        return Measured::none("two classes have the same mean");
      }
      worst = std::max(
          worst, (radius[static_cast<size_t>(a)] + radius[static_cast<size_t>(b)]) / distance);
    }
    sum += worst;
  }
  return sum / static_cast<double>(count);
}

Measured scatter_ratio(const at::Tensor& features, const at::Tensor& labels) {
  const Classes classes(features, labels);
  if (const std::string refusal = classes.refusal(); !refusal.empty()) {
    return Measured::none(refusal);
  }
  const double within =
      classes.within().pow(2).sum().item<double>() / static_cast<double>(classes.features.size(0));
  const double between =
      classes.offsets.pow(2).sum(at::IntArrayRef{1}).mul(classes.shares()).sum().item<double>();
  return within / between;
}

Measured nc1(const at::Tensor& features, const at::Tensor& labels) {
  constexpr double smallest = 1e-6;  // of the largest singular value
  const Classes classes(features, labels);
  if (const std::string refusal = classes.refusal(); !refusal.empty()) {
    return Measured::none(refusal);
  }
  // Σ_B = MᵀM, so Σ_B⁺ = V·S⁻²·Vᵀ.
  const at::Tensor root = classes.offsets.mul(classes.shares().sqrt().unsqueeze(1));
  const auto [left, values, right] = at::linalg_svd(root, /*full_matrices=*/false);
  const at::Tensor kept = values.gt(values.max().mul(smallest)).nonzero().flatten();
  const at::Tensor scaled = at::matmul(classes.within(), right.index_select(0, kept).t())
                                .div(values.index_select(0, kept));
  return scaled.pow(2).sum().item<double>() / static_cast<double>(classes.features.size(0)) /
         static_cast<double>(classes.count());
}

Measured nc2_norms(const at::Tensor& features, const at::Tensor& labels) {
  const Classes classes(features, labels);
  if (const std::string refusal = classes.refusal(); !refusal.empty()) {
    return Measured::none(refusal);
  }
  const at::Tensor lengths = row_lengths(classes.offsets);
  return lengths.std(/*unbiased=*/false).item<double>() / lengths.mean().item<double>();
}

Measured nc2_angles(const at::Tensor& features, const at::Tensor& labels) {
  const Classes classes(features, labels);
  if (const std::string refusal = classes.refusal(); !refusal.empty()) {
    return Measured::none(refusal);
  }
  const auto count = static_cast<double>(classes.count());
  const at::Tensor unit = unit_rows(classes.offsets);
  const at::Tensor away = at::matmul(unit, unit.t()).add(1 / (count - 1)).abs();
  return (away.sum().item<double>() - away.diagonal().sum().item<double>()) / (count * (count - 1));
}

Measured nc3(const at::Tensor& features, const at::Tensor& labels, const at::Tensor& weights) {
  const Classes classes(features, labels);
  if (const std::string refusal = classes.refusal(); !refusal.empty()) {
    return Measured::none(refusal);
  }
  const at::Tensor matrix = checked_features(weights);
  if (matrix.sizes() != classes.means.sizes()) {
    return Measured::none("the classifier has other classes than the samples");
  }
  const double length = matrix.norm().item<double>();
  if (length == 0) {
    return Measured::none("the classifier's weights are 0");
  }
  return matrix.div(length)
      .sub(classes.offsets.div(classes.offsets.norm()))
      .pow(2)
      .sum()
      .item<double>();
}

}  // namespace bissl::host
