#pragma once

#include "bissl/optimizer.h"

namespace bissl::host {

/// The momentum of an optimizer's steps, 0 where it has none.
double momentum_of(Optimizer& optimizer);

/// OptimizerPreconditioner::preconditioner of an optimizer; an empty list, for ones, where it does
/// not scale gradients.
TensorList preconditioner_of(Optimizer& optimizer, const TensorList& gradients);

}  // namespace bissl::host
