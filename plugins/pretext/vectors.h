#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bissl {

/// Rows of length 1, of (N, D). A row of zeros stays one.
at::Tensor unit(const at::Tensor& rows);

/// (N, A) and (M, A) → (N, M): the inner products of all rows with all rows.
at::Tensor products(const at::Tensor& rows, const at::Tensor& others);

/// The cosines of rows with the rows of the same number, (N, D) → (N).
at::Tensor cosines(const at::Tensor& rows, const at::Tensor& others);

/// Throws Error(ErrorKind::input) for a batch of less than two samples; `does` is what the task
/// needs them for: "simclr compares the samples of a batch".
void require_two_samples(const at::Tensor& view, const char* does);

}  // namespace bissl
