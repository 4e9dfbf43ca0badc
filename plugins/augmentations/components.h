#pragma once

#include "bissl/plugin.h"

namespace bissl {

void add_simclr(Registrar& registrar);
void add_supervised(Registrar& registrar);
void add_evaluation(Registrar& registrar);
void add_shape_transforms(Registrar& registrar);
void add_colour_transforms(Registrar& registrar);

}  // namespace bissl
