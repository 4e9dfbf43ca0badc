#pragma once

#include "analysis/measured.h"

#include <cstdint>
#include <vector>

namespace bissl::host {

// How alike two networks see the same samples: features (N, D) and (N, E), row by row of the same
// samples. figures.cpp has formulas and sources. Throw Error(input) where the rows differ in
// number.

Measured linear_cka(const at::Tensor& one, const at::Tensor& other);
Measured debiased_cka(const at::Tensor& one, const at::Tensor& other);

/// The cosines of the principal angles between the spaces that the first `directions` principal
/// components of the one and of the other span in the space of the samples, largest first. Fewer
/// where either has fewer components; none where all features are equal.
std::vector<double> principal_cosines(const at::Tensor& one, const at::Tensor& other,
                                      int64_t directions);
inline constexpr int64_t overlap_directions = 10;
/// The mean of their squares, for as many directions.
Measured subspace_overlap(const at::Tensor& one, const at::Tensor& other);

}  // namespace bissl::host
