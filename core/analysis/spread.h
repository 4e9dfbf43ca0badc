#pragma once

#include "analysis/measured.h"

namespace bissl::host {

// How features lie on the sphere, and how views of one image lie together. Features (N, D), labels
// (N), int64; views (N, q, D): q views of each of N images. figures.cpp has formulas and sources.

Measured feature_std(const at::Tensor& features);
Measured uniformity(const at::Tensor& features);
Measured class_alignment(const at::Tensor& features, const at::Tensor& labels);
Measured alignment(const at::Tensor& views);
Measured lidar(const at::Tensor& views);

}  // namespace bissl::host
