#pragma once

#include "bissl/target_batch.h"

#include <ATen/core/Tensor.h>

namespace bissl::host {

/// A batch of a downstream task: images (N, C, H, W) and their targets. Where each image holds a
/// part of another sample's (`mix`), the loss is share·L(targets) + (1 − share)·L(partners).
struct TaskBatch {
  at::Tensor images;
  TargetBatch targets;
  TargetBatch partners = {};  ///< of the samples that were mixed in; unused with a share of 1
  double share = 1;           ///< of the own image, the same for all samples
};

}  // namespace bissl::host
