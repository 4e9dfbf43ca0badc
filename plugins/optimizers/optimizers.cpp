#include "components.h"

BISSL_PLUGIN("optimizers", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  add_sgd(registrar);
  add_lars(registrar);
  add_adamw(registrar);
}
