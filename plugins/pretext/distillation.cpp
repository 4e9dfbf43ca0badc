#include "components.h"

#include "bissl/plugin.h"

BISSL_PLUGIN("distillation", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  add_dino(registrar);
  add_simsiam(registrar);
}
