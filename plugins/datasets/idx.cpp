#include "components.h"

BISSL_PLUGIN("idx", "2.0.0", "MIT", registrar) {
  using namespace bissl;
  add_fashion_mnist(registrar);
  add_mnist(registrar);
  add_kmnist(registrar);
  add_emnist(registrar);
}
