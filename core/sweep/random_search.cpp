#include "sweep/random_search.h"

#include "bissl/random.h"

#include <cmath>

namespace bissl::host {

ConfigNode Distribution::draw(uint64_t seed, const std::string& key, int64_t draw,
                              const Location& at) const {
  RandomStream stream(seed, "search/" + key, 0, static_cast<uint64_t>(draw));
  if (kind == Kind::choice) {
    return choices[stream.below(choices.size())];
  }
  const double value = kind == Kind::uniform
                           ? stream.uniform(low, high)
                           : std::exp(stream.uniform(std::log(low), std::log(high)));
  ConfigNode node;
  node.type = ConfigNode::Type::real;
  node.at = at;
  node.scalar = value;
  return node;
}

}  // namespace bissl::host
