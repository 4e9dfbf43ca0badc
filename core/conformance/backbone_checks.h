#pragma once

#include "bissl/backbone.h"
#include "conformance/checker.h"
#include "conformance/samples.h"

namespace bissl::host {

/// The parts of check_backbone that concern a network as it scores: in evaluation mode each image
/// has its own features, whatever was computed before.
void check_evaluation(Checker& checker, const FittedBackbone& fitted);

/// The checks of the abilities FeatureMaps and Tokens, with other instances for the same images
/// and, where they are taken, for images that are not square.
void check_backbone_abilities(Checker& checker, const FittedBackbone& fitted);

/// Throws a Violation unless 2 and 3 processes that share a batch have the features, the gradient
/// and the buffers of one, in training mode and double precision.
void require_same_by_several(const Checker& checker, const FittedBackbone& fitted);

/// Images that look random, the same in every run.
at::Tensor sample_images(int64_t samples, const ImageShape& shape, uint64_t seed = 21);

/// A new instance whose weights are drawn from `seed`.
std::shared_ptr<Backbone> make_seeded(const Checker& checker, const ImageShape& shape,
                                      uint64_t seed = 4);

}  // namespace bissl::host
