#pragma once

#include "bissl/tensor_list.h"

namespace bissl::host {

/// Throws Error(run) unless `given` is like `like`: as many tensors, all defined, in the same
/// shapes. For vectors that a plugin makes: what goes through two lists at a time would read past
/// the end of a shorter one, and broadcast tensors of other shapes. `what` names the vector.
void require_like(const char* what, const TensorList& given, const TensorList& like);

}  // namespace bissl::host
