#pragma once

#include "analysis/measured.h"

namespace bissl::host {

// How many numbers describe where a sample lies among its neighbours. Features (N, D); figures.cpp
// has formulas and sources. Samples that coincide with another count once.

Measured two_nn(const at::Tensor& features);
Measured intrinsic_dimension(const at::Tensor& features);

}  // namespace bissl::host
