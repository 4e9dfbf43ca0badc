#include "components.h"

BISSL_PLUGIN("image-augmentations", "0.1.0", "MIT", registrar) {
  bissl::register_simclr(registrar);
  bissl::register_supervised(registrar);
  bissl::register_evaluation(registrar);
}
