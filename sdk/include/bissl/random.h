#pragma once

#include "bissl/export.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bissl {

/// A counter-based random stream: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy
/// as 1, 2, 3", SC 2011). What a stream yields is a function of its key alone, so results depend
/// neither on the number of threads nor on whether a run was interrupted.
///
/// A stream is a small value: copy it to replay it. One stream must not be used by two threads.
class BISSL_API RandomStream {
 public:
  /// The stream of (seed, purpose, epoch, sample, view). `purpose` keeps uses apart, for example
  /// "pretrain/views" and "pretrain/order". `epoch` and `view` use their lower 32 and 16 bits.
  RandomStream(uint64_t seed, std::string_view purpose, uint64_t epoch = 0, uint64_t sample = 0,
               uint64_t view = 0);

  /// A stream of its own for a part of what this one is for, at its beginning whatever has been
  /// drawn here: parts that come or go leave the draws of the others alone.
  RandomStream part(std::string_view name) const;

  /// The next 32 random bits.
  uint32_t bits32();
  /// The next 64 random bits.
  uint64_t bits64();
  /// Uniform in [0, 1), a multiple of 2⁻⁵³.
  double uniform();
  /// Uniform in [low, high).
  double uniform(double low, double high);
  /// Uniform in {0, …, count − 1}, without bias. `count` must be positive.
  uint64_t below(uint64_t count);
  /// True with the given probability.
  bool chance(double probability);
  /// Normal with mean 0 and variance 1 (Box–Muller).
  double normal();

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  unsigned used_ = 4;
};

/// A permutation of {0, …, count − 1} drawn from the stream (Fisher–Yates).
BISSL_API std::vector<int64_t> permutation(RandomStream& stream, int64_t count);

/// One block of Philox 4x32-10; offered so that tests can hold it against the published vectors.
BISSL_API std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                             std::array<uint32_t, 2> key);

}  // namespace bissl
