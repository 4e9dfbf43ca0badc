#include "components.h"

#include "bissl/plugin.h"

BISSL_PLUGIN("redundancy-reduction", "2.0.1", "MIT", registrar) {
  using namespace bissl;
  add_barlow_twins(registrar);
  add_lejepa(registrar);
  add_tico(registrar);
  add_vicreg(registrar);
  add_w_mse(registrar);
}
