#pragma once

#include "bissl/modules.h"

namespace bissl {

/// relu(layer(input) + residual) as one layer: on the CPU, for contiguous images in single or
/// double precision, in as many passes over memory as batch normalisation alone, in each direction
/// and for second derivatives. `residual` has the input's shape, or is undefined for zeros. In
/// training the layer's running statistics move as by its own call. Values and derivatives are
/// those of the three operations; where it does not apply, it calls them. Threads: any.
at::Tensor batch_norm_relu(BatchNorm& layer, const at::Tensor& input,
                           const at::Tensor& residual = {});

}  // namespace bissl
