#include "jitter.h"

#include <algorithm>
#include <utility>

namespace bissl {

JitterDraws draw_jitter(const JitterStrength& strength, RandomStream& stream) {
  const auto around_one = [&stream](double part) {
    return stream.uniform(std::max(0.0, 1.0 - part), 1.0 + part);
  };
  JitterDraws draws;
  for (size_t i = draws.order.size(); i > 1; --i) {
    std::swap(draws.order[i - 1], draws.order[stream.below(i)]);
  }
  draws.brightness = around_one(strength.brightness);
  draws.contrast = around_one(strength.contrast);
  draws.saturation = around_one(strength.saturation);
  draws.hue = stream.uniform(-strength.hue, strength.hue);
  return draws;
}

}  // namespace bissl
