#pragma once

#include "analysis/measured.h"

#include <vector>

namespace bissl::host {

// How features of several classes lie. Features (N, D); labels (N), int64, any numbers: classes are
// those that occur. figures.cpp has formulas and sources.

/// Which samples belong to which class.
class Grouping {
 public:
  /// Throws Error(input) unless there are `samples` labels.
  Grouping(const at::Tensor& labels, int64_t samples);

  int64_t classes() const { return static_cast<int64_t>(members_.size()); }
  /// Places of the samples, by class in the order of the labels' numbers; none is empty.
  const std::vector<at::Tensor>& members() const { return members_; }
  /// (N), int64: of each sample the number of its class among those that occur.
  const at::Tensor& of_samples() const { return of_samples_; }
  /// (classes, D): the mean of each class.
  at::Tensor means(const at::Tensor& features) const;

 private:
  std::vector<at::Tensor> members_;
  at::Tensor of_samples_;
};

Measured silhouette(const at::Tensor& features, const at::Tensor& labels);
Measured davies_bouldin(const at::Tensor& features, const at::Tensor& labels);
Measured scatter_ratio(const at::Tensor& features, const at::Tensor& labels);
Measured nc1(const at::Tensor& features, const at::Tensor& labels);
Measured nc2_norms(const at::Tensor& features, const at::Tensor& labels);
Measured nc2_angles(const at::Tensor& features, const at::Tensor& labels);
/// `weights` (C, D) of a linear classifier; every one of its classes must occur.
Measured nc3(const at::Tensor& features, const at::Tensor& labels, const at::Tensor& weights);

}  // namespace bissl::host
