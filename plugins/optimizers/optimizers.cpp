#include "optimizers.h"

BISSL_PLUGIN("optimizers", "1.0.0", "MIT", registrar) {
  bissl::optimizers::add_sgd(registrar);
  bissl::optimizers::add_lars(registrar);
  bissl::optimizers::add_adamw(registrar);
}
