#include "bissl/random.h"

#include "bissl/hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <vector>

namespace bissl::host {
namespace {

using Counter = std::array<uint32_t, 4>;
using Key = std::array<uint32_t, 2>;

// The rows "philox4x32 10" of kat_vectors in Random123 1.14.
TEST(Philox, GivesThePublishedVectors) {
  EXPECT_EQ(philox4x32(Counter{0, 0, 0, 0}, Key{0, 0}),
            (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32(Counter{ones, ones, ones, ones}, Key{ones, ones}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32(Counter{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                       Key{0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, WalksTheCountersOfItsKey) {
  RandomStream stream(11, "pretrain/views", 3, 0x1'2345'6789, 2);
  const uint64_t key = hash64("pretrain/views", 11);
  const Key halves{static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  for (uint32_t block = 0; block < 3; ++block) {
    // Seed and purpose make the key; epoch, sample and view stand beside the number of the block.
    for (const uint32_t expected : philox4x32({block, 3, 0x2345'6789, 0x1'0002}, halves)) {
      EXPECT_EQ(stream.bits32(), expected);
    }
  }
}

TEST(RandomStream, EveryPartOfTheKeyMatters) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 2; ++seed) {
    for (const char* purpose : {"views", "order"}) {
      for (uint64_t epoch = 0; epoch < 4; ++epoch) {
        for (uint64_t sample = 0; sample < 4; ++sample) {
          for (uint64_t view = 0; view < 4; ++view) {
            seen.insert(RandomStream(seed, purpose, epoch, sample, view).bits64());
          }
        }
      }
    }
  }
  seen.insert(RandomStream(0, "views", 0, uint64_t{1} << 40).bits64());
  EXPECT_EQ(seen.size(), 2U * 2 * 64 + 1);
}

TEST(RandomStream, ACopyReplays) {
  RandomStream stream(1, "test");
  stream.bits32();
  RandomStream copy = stream;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(stream.bits64(), copy.bits64());
  }
}

TEST(RandomStream, NeighbouringStreamsAreUncorrelated) {
  constexpr int count = 4000;
  double product = 0.0;
  RandomStream first(0, "test", 0, 1);
  RandomStream second(0, "test", 0, 2);
  for (int i = 0; i < count; ++i) {
    product += (first.uniform() - 0.5) * (second.uniform() - 0.5);
  }
  // The correlation of independent uniforms has a standard deviation of 1 / √count.
  EXPECT_LT(std::abs(12.0 * product / count), 4.0 / std::sqrt(count));
}

TEST(RandomStream, UniformFillsItsRangeEvenly) {
  constexpr int bins = 20;
  constexpr int count = 100000;
  std::vector<int> histogram(bins);
  RandomStream stream(0, "test");
  for (int i = 0; i < count; ++i) {
    const double value = stream.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    ++histogram[static_cast<size_t>(value * bins)];
  }
  double chi_squared = 0.0;
  for (const int found : histogram) {
    const double expected = static_cast<double>(count) / bins;
    chi_squared += (found - expected) * (found - expected) / expected;
  }
  // 19 degrees of freedom: above 43.8 in one case of a thousand.
  EXPECT_LT(chi_squared, 43.8);
}

TEST(RandomStream, UniformKeepsToItsBounds) {
  RandomStream stream(0, "test");
  double lowest = 10.0;
  double highest = -10.0;
  for (int i = 0; i < 2000; ++i) {
    const double value = stream.uniform(-2.0, 3.0);
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
  }
  EXPECT_GE(lowest, -2.0);
  EXPECT_LT(lowest, -1.97);
  EXPECT_LT(highest, 3.0);
  EXPECT_GT(highest, 2.97);
}

TEST(RandomStream, BelowIsUnbiased) {
  RandomStream stream(0, "test");
  for (const uint64_t count : {1U, 2U, 3U, 7U, 10U}) {
    std::vector<int> histogram(count);
    constexpr int draws = 21000;
    for (int i = 0; i < draws; ++i) {
      const uint64_t value = stream.below(count);
      ASSERT_LT(value, count);
      ++histogram[value];
    }
    const double expected = static_cast<double>(draws) / static_cast<double>(count);
    for (const int found : histogram) {
      EXPECT_NEAR(found, expected, 4.5 * std::sqrt(expected) + (count == 1 ? 0.0 : 1.0));
    }
  }
}

TEST(RandomStream, BelowDrawsAgainWhatWouldBias) {
  // Of 3 · 2⁶² values, 2⁶⁴ mod count = 2⁶² would come twice as often by a plain remainder: values
  // under 2⁶² in half of all draws instead of a third.
  constexpr uint64_t count = uint64_t{3} << 62;
  RandomStream stream(0, "test");
  int low = 0;
  for (int i = 0; i < 6000; ++i) {
    const uint64_t value = stream.below(count);
    ASSERT_LT(value, count);
    low += value < (uint64_t{1} << 62) ? 1 : 0;
  }
  EXPECT_NEAR(low, 2000, 150);
}

TEST(RandomStream, ChanceHasItsProbability) {
  RandomStream stream(0, "test");
  int hits = 0;
  for (int i = 0; i < 10000; ++i) {
    ASSERT_FALSE(stream.chance(0.0));
    ASSERT_TRUE(stream.chance(1.0));
    hits += stream.chance(0.2) ? 1 : 0;
  }
  EXPECT_NEAR(hits, 2000, 160);
}

TEST(RandomStream, NormalHasItsMoments) {
  RandomStream stream(0, "test");
  constexpr int count = 50000;
  double sum = 0.0;
  double squares = 0.0;
  double fourth = 0.0;
  for (int i = 0; i < count; ++i) {
    const double value = stream.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
  }
  // Four standard deviations of each estimate: those of x, x² and x⁴ are 1, √2 and √96.
  const double scale = 4.0 / std::sqrt(count);
  EXPECT_NEAR(sum / count, 0.0, scale);
  EXPECT_NEAR(squares / count, 1.0, scale * std::sqrt(2.0));
  EXPECT_NEAR(fourth / count, 3.0, scale * std::sqrt(96.0));
}

TEST(Permutation, HoldsEveryNumberOnce) {
  RandomStream stream(0, "test");
  EXPECT_TRUE(permutation(stream, 0).empty());
  EXPECT_EQ(permutation(stream, 1), std::vector<int64_t>{0});
  std::vector<int64_t> order = permutation(stream, 1000);
  std::vector<int64_t> sorted(1000);
  std::iota(sorted.begin(), sorted.end(), 0);
  EXPECT_NE(order, sorted);
  std::sort(order.begin(), order.end());
  EXPECT_EQ(order, sorted);
}

TEST(Permutation, AllOrdersAreEquallyLikely) {
  RandomStream stream(0, "test");
  std::map<std::vector<int64_t>, int> histogram;
  for (int i = 0; i < 12000; ++i) {
    ++histogram[permutation(stream, 3)];
  }
  ASSERT_EQ(histogram.size(), 6U);
  for (const auto& [order, found] : histogram) {
    EXPECT_NEAR(found, 2000, 180);
  }
}

}  // namespace
}  // namespace bissl::host
