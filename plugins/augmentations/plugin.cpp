#include "components.h"

BISSL_PLUGIN("image-augmentations", "0.2.0", "MIT", registrar) {
  bissl::register_simclr(registrar);
  bissl::register_supervised(registrar);
  bissl::register_evaluation(registrar);
  bissl::register_shape_transforms(registrar);
  bissl::register_colour_transforms(registrar);
}
