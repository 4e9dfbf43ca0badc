#pragma once

#include "conformance/checker.h"

namespace bissl::host {

/// The check that a component is made with each number at an end of its bounds, one at a time, or
/// refuses it as wrong input. For approximators, optimizers, augmentations and transforms, whose
/// factories only keep their values; those of the other kinds make weights or read files, for which
/// the largest values are too large to be tried.
void check_values_at_bounds(Checker& checker);

}  // namespace bissl::host
