#pragma once

#include "bissl/image.h"
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

/// Changes the colours of planes with values in [0, 1].
void apply_jitter(Planes view, const JitterStrength& strength, const JitterDraws& draws);

}  // namespace bissl
