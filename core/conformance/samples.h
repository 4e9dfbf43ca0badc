#pragma once

#include "bissl/backbone.h"
#include "bissl/image.h"
#include "bissl/pretext.h"
#include "bissl/tensor_list.h"
#include "conformance/checker.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace bissl::host {

// What components are tried on.

/// Numbers that look random, normal with mean 0 and variance 1; the same in every run.
at::Tensor normal_numbers(at::IntArrayRef shape, uint64_t seed);
TensorList normal_like(const TensorList& list, uint64_t seed);

/// Shapes of images from small to larger, gray and coloured.
const std::vector<ImageShape>& image_shapes();

/// A backbone under test with the first of image_shapes() that its factory and a pass accept.
/// Throws what the last one said if it accepts none.
struct FittedBackbone {
  std::shared_ptr<Backbone> backbone;
  ImageShape input;
};
FittedBackbone make_backbone_for_some_input(const Checker& checker);

/// Three parameters for optimizers: a matrix, a vector, a single number.
NamedTensors small_parameters();

/// A smooth backbone of the sdk's layers for images of sample_input: a convolution, a normalisation
/// and a linear layer, 6 features, 120 parameters in double precision.
std::shared_ptr<Backbone> sample_backbone();
inline constexpr ImageShape sample_input{1, 8, 8};
inline constexpr int64_t sample_features = 6;

/// The same in another precision, with weights drawn from `seed`.
std::shared_ptr<Backbone> sample_backbone(c10::ScalarType type, uint64_t seed);

/// A smooth loss that couples the samples of two views, for the backbone above.
std::shared_ptr<Pretext> sample_pretext();

}  // namespace bissl::host
