#pragma once

#include "bissl/hypergradient.h"
#include "stages/bissl/parts.h"

#include <cstdint>

namespace bissl::host {

/// What the solves of one round cost.
struct RoundCost {
  int64_t products = 0;   ///< with the hessian batch, whatever their graph
  int64_t gradients = 0;  ///< on the hessian batch, those for building graphs included
};

/// The cost of a round with an approximator of these needs, whose products of a round are at most
/// as many as the backbone has parameters.
RoundCost round_cost(const BisslParts& parts, const HypergradientNeeds& needs);

}  // namespace bissl::host
