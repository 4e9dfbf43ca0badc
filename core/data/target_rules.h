#pragma once

#include "bissl/dataset.h"

#include <cstdint>
#include <string>

namespace bissl::host {

// What the SDK promises of targets (bissl/targets.h), as sentences about what breaks it; empty
// where nothing does.

/// "2 names for 3 labels".
std::string fault_of(const TargetSpec& spec);

/// "the category 7; expected 0 to 2", to follow "sample 5 has". Of a mask only that it is there, in
/// one channel: fault_of_mask says whether it has the image's size and its pixels are in
/// range.
std::string fault_of(const TargetSpec& spec, const Target& target);

/// The same for the mask of a sample of the kind mask.
std::string fault_of_mask(const TargetSpec& spec, const Sample& sample);

/// The K targets of a spec in words: "3 categories", "1 label", "2 values".
std::string counted_targets(const TargetSpec& spec);

/// A spec in words: `category targets ("ant", "bee" and 3 more)`, `no targets`.
std::string describe(const TargetSpec& spec);

/// "“2”, “5” and 3 more", of at most five names.
std::string some_of(const std::vector<std::string>& names);

}  // namespace bissl::host
