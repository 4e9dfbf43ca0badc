#include "bilevel/optimizer_abilities.h"

namespace bissl::host {

double momentum_of(Optimizer& optimizer) {
  const auto* ability = capability<OptimizerMomentum>(optimizer);
  return ability == nullptr ? 0.0 : ability->momentum();
}

TensorList preconditioner_of(Optimizer& optimizer, const TensorList& gradients) {
  const auto* ability = capability<OptimizerPreconditioner>(optimizer);
  return ability == nullptr ? TensorList{} : ability->preconditioner(gradients);
}

}  // namespace bissl::host
