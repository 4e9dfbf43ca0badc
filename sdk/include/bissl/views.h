#pragma once

#include "bissl/export.h"
#include "bissl/tensor_list.h"

#include <ATen/core/Tensor.h>

namespace bissl {

/// The views of a batch. View v is (N, C, H_v, W_v): the same samples in the same order in each;
/// views may differ in height and width.
using Views = TensorList;

/// All views, which have one shape, as one batch (V·N, C, H, W): the samples of the first view,
/// then those of the second, and so on. Costs nothing where the views lie one after the other in
/// one buffer, as those of the host do. Throws Error(ErrorKind::input) where shapes
/// differ.
BISSL_API at::Tensor joined(const Views& views);

/// One batch for each run of neighbouring views of one shape, joined as above: of two large views
/// and six small ones a batch of 2·N large and one of 6·N small images.
BISSL_API TensorList joined_by_shape(const Views& views);

/// The views in another type or on another device; views that lie in one buffer still do. Those
/// that are so already share their memory with the result.
BISSL_API Views converted(const Views& views, const at::TensorOptions& options);

}  // namespace bissl
