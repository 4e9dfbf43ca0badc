#pragma once

#include "bissl/dataset.h"
#include "conformance/checker.h"

#include <functional>
#include <string>
#include <vector>

namespace bissl::host {

// What the checks of datasets have in common.

/// A copy of a target that lives longer than its dataset, and that equals itself, NaN or not.
struct TargetCopy {
  int64_t category = -1;
  std::vector<uint32_t> value_bits;
  ImageShape mask;
  std::vector<uint8_t> mask_pixels;
  bool operator==(const TargetCopy&) const = default;
};
TargetCopy copy_of(const Target& target);

/// A copy of a sample that lives longer than its dataset.
struct SampleCopy {
  ImageShape shape;
  std::vector<uint8_t> pixels;
  TargetCopy target;
  bool operator==(const SampleCopy&) const = default;
};

/// Sample `index`, every byte of it read. Throws a Violation for an image that is none.
SampleCopy copy_of(const Dataset& dataset, int64_t index);

/// Up to `most` indices in ascending order, from both ends and between.
std::vector<int64_t> some_indices(int64_t size, int64_t most);

/// Calls `visit` with indices in an order that looks random, until all had their turn or the time
/// is over.
void sweep(int64_t size, const std::function<void(int64_t index)>& visit);

/// A hash of size, targets() and some samples.
std::string digest_of(const Dataset& dataset, int64_t most_samples);

/// The checks of targets() and target().
void check_declared_targets(const Checker& checker, const Dataset& dataset);
void check_targets(const Dataset& dataset);

/// The checks of fingerprint().
void check_fingerprint(Checker& checker, const Dataset& dataset);

}  // namespace bissl::host
