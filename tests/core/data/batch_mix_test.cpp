#include "data/batch_mix.h"

#include "bissl/error.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <cmath>

namespace bissl::host {
namespace {

/// Images of one value each, 0 … samples − 1, and targets of the same numbers.
at::Tensor flat_images(int64_t samples, int64_t side = 8) {
  return at::arange(samples, at::kFloat).view({samples, 1, 1, 1}).expand({samples, 2, side, side});
}

TargetBatch numbers(int64_t samples) {
  TargetBatch targets;
  targets.dense = at::arange(samples, at::kLong);
  return targets;
}

BatchMix mix_of(const MixOptions& options, uint64_t seed = 5) {
  return {options, seed, TargetSpec::named(TargetKind::category, {"a", "b"})};
}

TEST(BatchMix, MixupLaysImagesOverEachOtherAndSaysWhose) {
  const BatchMix mix = mix_of({.mixup = 1.0});
  const at::Tensor images = flat_images(6);
  for (int64_t number = 0; number < 20; ++number) {
    const MixedBatch mixed = mix.mix(images, numbers(6), number);
    ASSERT_GT(mixed.share, 0);
    ASSERT_LT(mixed.share, 1);
    const at::Tensor expected = at::arange(6, at::kFloat) * mixed.share +
                                mixed.partners.dense.to(at::kFloat) * (1 - mixed.share);
    EXPECT_LT((mixed.images - expected.view({6, 1, 1, 1})).abs().max().item<double>(), 1e-5);
  }
}

TEST(BatchMix, CutmixPutsARectangleInAndCountsItsPixels) {
  const BatchMix mix = mix_of({.cutmix = 1.0});
  const at::Tensor images = flat_images(6);
  int64_t cut = 0;
  for (int64_t number = 0; number < 20; ++number) {
    const MixedBatch mixed = mix.mix(images, numbers(6), number);
    const at::Tensor own = at::arange(6, at::kFloat).view({6, 1, 1, 1});
    const at::Tensor other = mixed.partners.dense.to(at::kFloat).view({6, 1, 1, 1});
    for (int64_t sample = 0; sample < 6; ++sample) {
      const at::Tensor image = mixed.images[sample];
      const at::Tensor is_own = image.eq(own[sample].item<double>());
      ASSERT_TRUE(is_own.logical_or(image.eq(other[sample].item<double>())).all().item<bool>());
      if (!own[sample].equal(other[sample])) {
        EXPECT_NEAR(is_own.to(at::kFloat).mean().item<double>(), mixed.share, 1e-6);
        cut += mixed.share < 1 ? 1 : 0;
      }
    }
  }
  EXPECT_GT(cut, 0);
  EXPECT_TRUE(images.equal(flat_images(6))) << "the batch itself stays as it is";
}

TEST(BatchMix, ABatchIsAFunctionOfItsNumber) {
  const MixOptions options{.mixup = 0.4, .cutmix = 1.0, .probability = 0.8};
  const at::Tensor images = flat_images(5);
  const MixedBatch first = mix_of(options).mix(images, numbers(5), 7);
  const BatchMix other = mix_of(options);
  other.mix(images, numbers(5), 3);
  const MixedBatch again = other.mix(images, numbers(5), 7);
  EXPECT_TRUE(first.images.equal(again.images));
  EXPECT_TRUE(first.partners.dense.equal(again.partners.dense));
  EXPECT_EQ(first.share, again.share);
  const BatchMix mixup = mix_of({.mixup = 0.4});
  const double share = mixup.mix(images, numbers(5), 7).share;
  EXPECT_NE(mixup.mix(images, numbers(5), 8).share, share);
  EXPECT_NE(mix_of({.mixup = 0.4}, 6).mix(images, numbers(5), 7).share, share);
}

TEST(BatchMix, ProbabilitiesAreKept) {
  const BatchMix mix = mix_of({.mixup = 1.0, .cutmix = 1.0, .probability = 0.5, .cutmix_share = 0});
  const at::Tensor images = flat_images(4);
  int64_t mixed = 0;
  constexpr int64_t batches = 400;
  for (int64_t number = 0; number < batches; ++number) {
    mixed += mix.mix(images, numbers(4), number).share < 1 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(mixed) / batches, 0.5, 0.08);
}

TEST(BatchMix, TheShareIsABetaDraw) {
  // Beta(α, α) has the mean ½ and the variance 1/(4·(2α + 1)).
  for (const double alpha : {0.2, 1.0, 8.0}) {
    RandomStream stream(11, "beta");
    constexpr int draws = 20000;
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < draws; ++i) {
      const double draw = symmetric_beta(stream, alpha);
      ASSERT_TRUE(draw >= 0 && draw <= 1);
      sum += draw;
      squares += draw * draw;
    }
    const double mean = sum / draws;
    EXPECT_NEAR(mean, 0.5, 0.02) << alpha;
    EXPECT_NEAR(squares / draws - mean * mean, 1 / (4 * (2 * alpha + 1)), 0.01) << alpha;
  }
  // So small that a draw of Gamma(α) is 0 in doubles.
  RandomStream stream(12, "beta");
  for (int i = 0; i < 100; ++i) {
    const double draw = symmetric_beta(stream, 1e-5);
    EXPECT_TRUE(draw >= 0 && draw <= 1) << draw;
  }
}

TEST(BatchMix, MasksAreRefused) {
  try {
    const BatchMix mix({.mixup = 1.0}, 0, TargetSpec::named(TargetKind::mask, {"a", "b"}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_EQ(std::string(error.what()).find("mix: masks"), 0U) << error.what();
  }
}

}  // namespace
}  // namespace bissl::host
