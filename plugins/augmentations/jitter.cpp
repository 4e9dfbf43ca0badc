#include "jitter.h"

#include "bissl/image_operations.h"

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

void apply_jitter(Planes view, const JitterStrength& strength, const JitterDraws& draws) {
  for (const JitterPart part : draws.order) {
    switch (part) {
      case JitterPart::brightness:
        if (strength.brightness > 0.0) {
          adjust_brightness(view, draws.brightness);
        }
        break;
      case JitterPart::contrast:
        if (strength.contrast > 0.0) {
          adjust_contrast(view, draws.contrast);
        }
        break;
      case JitterPart::saturation:
        if (strength.saturation > 0.0) {
          adjust_saturation(view, draws.saturation);
        }
        break;
      case JitterPart::hue:
        if (strength.hue > 0.0) {
          adjust_hue(view, draws.hue);
        }
        break;
    }
  }
}

}  // namespace bissl
