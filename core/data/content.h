#pragma once

#include "data/selection.h"

#include <bitset>
#include <cstdint>
#include <vector>

namespace bissl::host {

/// What the chosen samples of a source look like, from one pass over them.
struct DataContent {
  int64_t samples = 0;
  /// The samples whose images were read: all of them, or a part spread evenly over the source where
  /// reading them all takes long.
  int64_t looked_at = 0;
  int64_t one_value = 0;         ///< images all of whose pixels are equal
  int64_t distinct = 0;          ///< different images
  std::vector<uint64_t> hashes;  ///< of the different images, ascending
  /// Of masks: the categories of their pixels, those that do not count left out.
  std::bitset<256> mask_categories;

  bool complete() const { return looked_at == samples; }
};

/// How long and how far a pass may go before it settles for a part.
struct ContentLimits {
  int64_t samples = 200'000;
  double seconds = 3;
};

/// Reads the images. Errors of the dataset pass.
DataContent content_of(const DataView& data, const ContentLimits& limits = {});

/// How many images of `left` that were looked at are among those of `right`, each different image
/// counted once.
int64_t shared_images(const DataContent& left, const DataContent& right);

/// The number of chosen samples that have each category or label, in the order of the targets'
/// names; empty for other kinds of target.
std::vector<int64_t> samples_by_class(const DataView& data);

/// The places among the targets of labels that every chosen sample has and of values that are the
/// same number in all of them, entries that do not count aside; empty for other kinds of target.
std::vector<size_t> constant_targets(const DataView& data);

}  // namespace bissl::host
