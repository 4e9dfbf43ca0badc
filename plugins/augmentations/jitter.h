#pragma once

#include "both_views.h"

#include "bissl/random.h"

#include <array>

namespace bissl {

/// How strong the parts of colour jitter are; 0 leaves a part out.
struct JitterStrength {
  double brightness = 0.4;
  double contrast = 0.4;
  double saturation = 0.2;
  double hue = 0.1;
};

enum class JitterPart { brightness, contrast, saturation, hue };

/// Everything random about one colour jitter.
struct JitterDraws {
  std::array<JitterPart, 4> order{JitterPart::brightness, JitterPart::contrast,
                                  JitterPart::saturation, JitterPart::hue};
  double brightness = 1.0;
  double contrast = 1.0;
  double saturation = 1.0;
  double hue = 0.0;
};

/// Draws all parts, whether they are left out or not.
JitterDraws draw_jitter(const JitterStrength& strength, RandomStream& stream);

/// Changes the colours of a view with values in [0, 1].
template <class View>
void apply_jitter(View& view, const JitterStrength& strength, const JitterDraws& draws) {
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
