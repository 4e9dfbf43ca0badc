#include "components.h"

#include "bissl/plugin.h"

BISSL_PLUGIN("dense", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  add_inpainting(registrar);
  add_vicregl(registrar);
}
