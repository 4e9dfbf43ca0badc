#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// How numbers are spread: counts of buckets, of which each has its right end.
struct EventHistogram {
  std::string tag;
  double min = 0;
  double max = 0;
  double num = 0;
  double sum = 0;
  double squares = 0;  ///< sum of them
  std::vector<double> limits;
  std::vector<double> counts;
};

/// The numbers of one line of an event log.
struct EventNumbers {
  int64_t step = 0;
  std::string phase = {};  ///< as the line names it; empty where it names none
  /// By tag, in the alphabet's order. A tag is the key of the number; "PHASE/KEY" in a line that
  /// names its phase, where the phase's own loss is "PHASE/loss"; "OBJECT/KEY" within an object
  /// ("validation/top1", "audit/cosine"). Numbers that are not finite are here as what they were.
  std::vector<std::pair<std::string, double>> values;
  std::vector<EventHistogram> histograms = {};
};

/// What was read of an event log in one go.
struct EventPart {
  std::vector<EventNumbers> events;
  uint64_t position = 0;   ///< where to continue
  bool restarted = false;  ///< the file no longer has what was read before: this is its beginning
  bool more = false;       ///< there are further complete lines
};

/// Reads the complete lines of an event log from `position` on, up to about `most_bytes` of them;
/// `position` is 0 or what an earlier call gave. A stage that continues from its checkpoint cuts
/// lines off: where the file is shorter than `position`, or `position` is no longer the beginning
/// of a line, it is read from its beginning. Other processes may write the file at the same time; a
/// last line without an end is left for the next call, and a line that holds no event is passed
/// over. Throws Error(input) for a file that cannot be read.
EventPart read_events(const std::filesystem::path& file, uint64_t position = 0,
                      size_t most_bytes = size_t{1} << 20);

/// The same, and nothing new where the file is not there: a stage that is finished moves its log.
EventPart read_events_if_there(const std::filesystem::path& file, uint64_t position);

}  // namespace bissl::host
