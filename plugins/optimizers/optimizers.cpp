#include "components.h"

BISSL_PLUGIN("optimizers", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  add_sgd(registrar);
  add_lars(registrar);
  add_adam(registrar);
  add_lamb(registrar);
  add_lion(registrar);
  add_adan(registrar);
  add_muon(registrar);
}
