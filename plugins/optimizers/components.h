#pragma once

#include "bissl/plugin.h"

namespace bissl {

void add_sgd(Registrar& registrar);
void add_lars(Registrar& registrar);
void add_adamw(Registrar& registrar);

}  // namespace bissl
