#pragma once

#include "data/selection.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {

/// What the images of a source are like.
struct DataStatistics {
  int64_t samples = 0;
  int64_t looked_at = 0;  ///< the samples whose images were read, spread evenly over the source
  int64_t least_height = 0;
  int64_t most_height = 0;
  int64_t least_width = 0;
  int64_t most_width = 0;
  std::set<int64_t> channels;  ///< all numbers of channels that were met
  /// Of all pixels that were read, by channel, on the scale from 0 (black) to 1 (white): what
  /// `normalize` takes. Empty where images differ in their number of channels.
  std::vector<double> mean;
  std::vector<double> std;  ///< the deviation from that mean
  /// For categories and labels: how many of all samples have each, in the order of the names.
  std::vector<std::string> classes;
  std::vector<int64_t> class_counts;
};

/// Reads the images of up to `most` samples. Throws Error of the dataset.
DataStatistics statistics_of(const DataView& data, int64_t most);

}  // namespace bissl::host
