#pragma once

#include "bissl/plugin.h"

namespace bissl {

void add_fashion_mnist(Registrar& registrar);
void add_mnist(Registrar& registrar);
void add_kmnist(Registrar& registrar);
void add_emnist(Registrar& registrar);

}  // namespace bissl
