#pragma once

#include "bissl/dataset.h"
#include "conformance/checker.h"

#include <string>
#include <vector>

namespace bissl {

// What the checks of datasets have in common.

/// A copy of a sample that lives longer than its dataset.
struct SampleCopy {
  ImageShape shape;
  std::vector<uint8_t> pixels;
  int64_t label = -1;
  bool operator==(const SampleCopy&) const = default;
};

/// Sample `index`, every byte of it read. Throws a Violation for an image that is none.
SampleCopy copy_of(const Dataset& dataset, int64_t index);

/// Up to `most` indices in ascending order, from both ends and between.
std::vector<int64_t> some_indices(int64_t size, int64_t most);

/// A hash of size, class names and some samples.
std::string digest_of(const Dataset& dataset, int64_t most_samples);

/// The checks of fingerprint().
void check_fingerprint(Checker& checker, const Dataset& dataset);

}  // namespace bissl
