#include "data/batch_mix.h"

#include "bissl/error.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace bissl::host {
namespace {

/// A draw of Gamma(shape, 1) for a shape of at least 1 (Marsaglia and Tsang 2000).
double gamma_of_large(RandomStream& stream, double shape) {
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = stream.normal();
    const double root = 1.0 + c * x;
    if (root <= 0) {
      continue;
    }
    const double v = root * root * root;
    if (std::log(1.0 - stream.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) {
      return d * v;
    }
  }
}

/// The logarithm of a draw of Gamma(shape, 1): for small shapes the draw itself would be 0.
double log_gamma(RandomStream& stream, double shape) {
  if (shape >= 1) {
    return std::log(gamma_of_large(stream, shape));
  }
  const double large = gamma_of_large(stream, shape + 1);
  return std::log(large) + std::log(1.0 - stream.uniform()) / shape;
}

struct Rectangle {
  int64_t top;
  int64_t left;
  int64_t height;
  int64_t width;
};

/// A rectangle of the share 1 − lambda of the image, about a point anywhere in it, cut at its
/// edges.
Rectangle rectangle(RandomStream& stream, int64_t height, int64_t width, double lambda) {
  const double side = std::sqrt(1.0 - lambda);
  const auto extent = [&](int64_t whole, int64_t& begin) {
    const auto half = static_cast<int64_t>(side * static_cast<double>(whole)) / 2;
    const auto centre = static_cast<int64_t>(stream.below(static_cast<uint64_t>(whole)));
    begin = std::max<int64_t>(0, centre - half);
    return std::min(whole, centre + half) - begin;
  };
  Rectangle found{};
  found.height = extent(height, found.top);
  found.width = extent(width, found.left);
  return found;
}

}  // namespace

double symmetric_beta(RandomStream& stream, double alpha) {
  const double x = log_gamma(stream, alpha);
  const double y = log_gamma(stream, alpha);
  return 1.0 / (1.0 + std::exp(y - x));
}

BatchMix::BatchMix(const MixOptions& options, uint64_t seed, const TargetSpec& targets)
    : options_(options), seed_(seed) {
  if (targets.kind == TargetKind::mask) {
    fail_input(
        "mix: masks say of each pixel what it is, and a mixed image has no such targets. Take the "
        "table away, or train on targets of whole images");
  }
}

MixedBatch BatchMix::mix(const at::Tensor& images, const TargetBatch& targets,
                         int64_t number) const {
  RandomStream stream(seed_, "finetune/mix", 0, static_cast<uint64_t>(number));
  const int64_t samples = images.size(0);
  const std::vector<int64_t> order = permutation(stream, samples);
  const bool mixes = stream.chance(options_.probability);
  const bool picks_cutmix = stream.chance(options_.cutmix_share);
  if (!mixes) {
    return {images, targets, 1.0};
  }
  const bool cuts = options_.cutmix > 0 && (options_.mixup == 0 || picks_cutmix);
  const double lambda = symmetric_beta(stream, cuts ? options_.cutmix : options_.mixup);
  const at::Tensor places =
      at::tensor(order, at::kLong).to(at::TensorOptions(images.device()), /*non_blocking=*/true);
  const at::Tensor others = images.index_select(0, places);
  MixedBatch mixed;
  mixed.partners.dense = targets.dense.index_select(0, places);
  if (!cuts) {
    mixed.images = images.mul(lambda).add_(others, 1.0 - lambda);
    mixed.share = lambda;
    return mixed;
  }
  const int64_t height = images.size(2);
  const int64_t width = images.size(3);
  const Rectangle cut = rectangle(stream, height, width, lambda);
  const auto part = [&](const at::Tensor& all) {
    return all.narrow(2, cut.top, cut.height).narrow(3, cut.left, cut.width);
  };
  mixed.images = images.clone();
  part(mixed.images).copy_(part(others));
  mixed.share =
      1.0 - static_cast<double>(cut.height * cut.width) / static_cast<double>(height * width);
  return mixed;
}

}  // namespace bissl::host
