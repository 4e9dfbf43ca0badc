#include "components.h"

BISSL_PLUGIN("image-augmentations", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  add_simclr(registrar);
  add_supervised(registrar);
  add_evaluation(registrar);
  add_shape_transforms(registrar);
  add_colour_transforms(registrar);
}
