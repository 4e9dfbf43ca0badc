#pragma once

#include "bissl/hypergradient.h"

namespace bissl::host {

/// Bytes that an approximator keeps, until its solve ends, of each product or shifted gradient that
/// it asks for: the least that its first ones add to what it has. 0 where there are too few of
/// them, or where it refuses what it is given. It solves a made-up system in these parameters,
/// without a network; since it may carry state to a next solve, take one that is used for nothing
/// else. No MemoryMeter may be alive.
double bytes_kept_of_each(Hypergradient& approximator, const TensorList& parameters);

}  // namespace bissl::host
