#pragma once

#include "bissl/plugin.h"

namespace bissl {

void add_sgd(Registrar& registrar);
void add_lars(Registrar& registrar);
void add_adam(Registrar& registrar);  ///< adam and adamw
void add_lamb(Registrar& registrar);
void add_lion(Registrar& registrar);
void add_adan(Registrar& registrar);
void add_muon(Registrar& registrar);

}  // namespace bissl
