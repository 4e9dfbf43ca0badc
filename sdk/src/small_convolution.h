#pragma once

#include "bissl/layers.h"

namespace bissl::layers {

// Convolutions of images of few pixels, such as the last layers of a ResNet have, as one matrix
// product for each pair of an output and an input pixel that the kernel joins. That leaves out the
// products with padding, which are more than half of all for 2x2 pixels and a kernel of 3x3, and
// meets the shapes that matrix products are fast for. No graph: gradient mode has to be off.

/// The shapes of a convolution: `input` is (N, I, H, W), `weight` (O, I/groups, kh, kw).
struct ConvolutionShape {
  at::IntArrayRef input, weight;
  const Conv2dGeometry& geometry;
};

/// Whether the output, or the gradient in the input, is faster this way; `like` is any of the
/// tensors.
bool is_small_convolution(const ConvolutionShape& shape, const at::Tensor& like);

/// Whether the gradient in the weight is: the usual ways are slow for it up to more pixels.
bool has_small_weight_gradient(const ConvolutionShape& shape, const at::Tensor& like);

/// (N, I, H, W) and (O, I, kh, kw) → (N, O, H', W'), in the order of the input in memory. `bias`
/// may be undefined.
at::Tensor small_convolution(const at::Tensor& input, const at::Tensor& weight,
                             const at::Tensor& bias, const Conv2dGeometry& geometry);

/// The gradient in the input, of `shape`.
at::Tensor small_input_gradient(const at::Tensor& grad_output, const at::Tensor& weight,
                                const ConvolutionShape& shape);

/// The gradient in the weight, of `shape`.
at::Tensor small_weight_gradient(const at::Tensor& grad_output, const at::Tensor& input,
                                 const ConvolutionShape& shape);

}  // namespace bissl::layers
