#pragma once

#include "analysis/measured.h"

#include <vector>

namespace bissl::host {

// How many directions features use. All take features (N, D); figures.cpp has formulas and sources.

/// The min(N, D) singular values, largest first. From the eigenvalues of the smaller Gram matrix,
/// in double precision: those below 1e-8 of the largest are not exact.
std::vector<double> singular_values(const at::Tensor& features);

Measured rankme(const at::Tensor& features);
Measured effective_rank(const at::Tensor& features);
Measured participation_ratio(const at::Tensor& features);
Measured alpha_req(const at::Tensor& features);

}  // namespace bissl::host
