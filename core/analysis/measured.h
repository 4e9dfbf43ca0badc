#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <utility>

namespace bissl::host {

/// A figure of features, or why it has no value on them: with one class nothing can be separated.
struct Measured {
  std::optional<double> value;
  std::string why_not;  ///< in words, where there is no value

  Measured(double number) : value(number) {}  // NOLINT(google-explicit-constructor)
  static Measured none(std::string reason) {
    Measured measured(0);
    measured.value.reset();
    measured.why_not = std::move(reason);
    return measured;
  }
};

/// Features (N, D) as double on the CPU, contiguous. Throws Error(input) unless they are a matrix
/// with a row and a column at least, and Error(run) where one of them is not finite.
at::Tensor checked_features(const at::Tensor& features);

/// The same with each row scaled to length 1. Rows of length 0 stay 0.
at::Tensor unit_rows(const at::Tensor& features);

/// Minus the mean of the rows.
at::Tensor centred(const at::Tensor& features);

}  // namespace bissl::host
