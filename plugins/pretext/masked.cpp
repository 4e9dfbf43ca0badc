#include "components.h"

#include "bissl/plugin.h"

BISSL_PLUGIN("masked", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  add_i_jepa(registrar);
  add_mae(registrar);
  add_msn(registrar);
  add_simmim(registrar);
}
