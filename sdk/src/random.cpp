#include "bissl/random.h"

#include "bissl/hash.h"

#include <cmath>
#include <numeric>

namespace bissl {
namespace {

// Multipliers and Weyl constants of Philox4x32, from the paper and its Random123 library.
constexpr uint64_t multiplier_0 = 0xD2511F53;
constexpr uint64_t multiplier_1 = 0xCD9E8D57;
constexpr uint32_t weyl_0 = 0x9E3779B9;
constexpr uint32_t weyl_1 = 0xBB67AE85;
constexpr int rounds = 10;

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < rounds; ++round) {
    const uint64_t product_0 = multiplier_0 * counter[0];
    const uint64_t product_1 = multiplier_1 * counter[2];
    counter = {static_cast<uint32_t>(product_1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product_1),
               static_cast<uint32_t>(product_0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product_0)};
    key[0] += weyl_0;
    key[1] += weyl_1;
  }
  return counter;
}

// The counter's first word counts blocks; epoch, sample and view fill the others, so that streams
// of one (seed, purpose) never overlap. Samples use 48 bits: 32 here, 16 beside the view.
RandomStream::RandomStream(uint64_t seed, std::string_view purpose, uint64_t epoch, uint64_t sample,
                           uint64_t view) {
  const uint64_t key = hash64(purpose, seed);
  key_ = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  counter_ = {0, static_cast<uint32_t>(epoch), static_cast<uint32_t>(sample),
              static_cast<uint32_t>((sample >> 32) << 16 | (view & 0xFFFF))};
}

// The key changes, the counter keeps epoch, sample and view apart.
RandomStream RandomStream::part(std::string_view name) const {
  RandomStream part = *this;
  const uint64_t key =
      hash64(name, static_cast<uint64_t>(key_[1]) << 32 | static_cast<uint64_t>(key_[0]));
  part.key_ = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  part.counter_[0] = 0;
  part.used_ = static_cast<unsigned>(part.block_.size());
  return part;
}

uint32_t RandomStream::bits32() {
  if (used_ == block_.size()) {
    block_ = philox4x32(counter_, key_);
    ++counter_[0];
    used_ = 0;
  }
  return block_[used_++];
}

uint64_t RandomStream::bits64() {
  const uint64_t high = bits32();
  return high << 32 | bits32();
}

double RandomStream::uniform() { return static_cast<double>(bits64() >> 11) * 0x1.0p-53; }

double RandomStream::uniform(double low, double high) { return low + (high - low) * uniform(); }

uint64_t RandomStream::below(uint64_t count) {
  // Values under 2⁶⁴ mod count are drawn again: what is left is a multiple of count.
  const uint64_t rejected = (0 - count) % count;
  uint64_t bits = bits64();
  while (bits < rejected) {
    bits = bits64();
  }
  return bits % count;
}

bool RandomStream::chance(double probability) { return uniform() < probability; }

double RandomStream::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * M_PI * uniform());
}

std::vector<int64_t> permutation(RandomStream& stream, int64_t count) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[stream.below(i)]);
  }
  return order;
}

}  // namespace bissl
