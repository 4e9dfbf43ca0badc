#pragma once

#include "sweep/settings.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// How a value is drawn: evenly, evenly in its logarithm, or among values.
struct Distribution {
  enum class Kind { uniform, log_uniform, choice };

  Kind kind = Kind::uniform;
  double low = 0;
  double high = 1;
  std::vector<ConfigNode> choices;

  /// Draw number `draw` of a search with this seed for the key: a function of these alone, so all
  /// cells of a sweep see the same draws, and more draws keep the first ones.
  ConfigNode draw(uint64_t seed, const std::string& key, int64_t draw, const Location& at) const;
};

struct DrawnKey {
  std::string key;
  Location at;
  Distribution distribution;
};

/// `[search]`: draws nested in each cell.
struct SearchSpec {
  int64_t draws = 0;
  uint64_t seed = 0;
  std::string select;  ///< the metric by which a draw is chosen
  Location select_at;
  std::optional<bool> maximise;
  bool per_seed = true;  ///< choose for each seed; else at the first seed for all of them
  std::vector<DrawnKey> keys;
  std::vector<KeyValue> final;  ///< laid over the chosen draw for its score
};

}  // namespace bissl::host
