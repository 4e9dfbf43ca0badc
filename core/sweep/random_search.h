#pragma once

#include "pipeline/config_tree.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl {

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

}  // namespace bissl
