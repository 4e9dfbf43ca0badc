#include "components.h"

#include "bissl/plugin.h"

BISSL_PLUGIN("contrastive", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  add_dcl(registrar);
  add_moco(registrar);
  add_moco_v3(registrar);
  add_nnclr(registrar);
  add_ressl(registrar);
  add_supcon(registrar);
}
