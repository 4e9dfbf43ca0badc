#pragma once

#include "bissl/plugin.h"

namespace bissl {

void register_simclr(Registrar& registrar);
void register_supervised(Registrar& registrar);
void register_evaluation(Registrar& registrar);
void register_shape_transforms(Registrar& registrar);
void register_colour_transforms(Registrar& registrar);

}  // namespace bissl
