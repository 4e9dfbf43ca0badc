#pragma once

#include "bissl/batch.h"
#include "bissl/random.h"
#include "bissl/targets.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

namespace bissl::host {

/// How the images of a batch are mixed in pairs.
struct MixOptions {
  double mixup = 0;           ///< α of Beta(α, α) for mixing whole images; 0: never
  double cutmix = 0;          ///< α for putting a rectangle of one image into another; 0: never
  double probability = 1;     ///< that a batch is mixed at all
  double cutmix_share = 0.5;  ///< where both are on: of the mixed batches
};

/// A batch whose images hold a part of another sample's image each. For a loss L of outputs and
/// targets, that of the mixed batch is share·L(own targets) + (1 − share)·L(partners); for losses
/// that are linear in the targets, as cross entropies are, it is that of the mixed targets.
struct MixedBatch {
  at::Tensor images;     ///< (N, C, H, W)
  TargetBatch partners;  ///< the targets of the samples that were mixed in
  double share = 1;      ///< of the own image, the same for all samples; 1: nothing was mixed
};

/// Mixes batches by number: what comes of one is a function of seed and number alone, whatever was
/// mixed before. mixup: Zhang et al. 2018, arXiv 1710.09412, equation 1; cutmix: Yun et al. 2019,
/// arXiv 1905.04899, equations 1 and 2. As in the published code λ is drawn once a batch, and the
/// partners are a permutation of the batch.
class BatchMix {
 public:
  /// Throws Error(ErrorKind::input) for targets that cannot be mixed: masks.
  BatchMix(const MixOptions& options, uint64_t seed, const TargetSpec& targets);

  MixedBatch mix(const at::Tensor& images, const TargetBatch& targets, int64_t number) const;

 private:
  MixOptions options_;
  uint64_t seed_;
};

/// A draw of Beta(alpha, alpha), alpha > 0.
double symmetric_beta(RandomStream& stream, double alpha);

}  // namespace bissl::host
