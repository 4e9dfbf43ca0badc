#include "components.h"

#include "bissl/plugin.h"

BISSL_PLUGIN("surrogate-classes", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  add_jigsaw(registrar);
  add_relative_location(registrar);
  add_rotation(registrar);
  add_sela(registrar);
}
