#pragma once

#include "bissl/augmentation.h"
#include "bissl/transform.h"

#include <memory>

namespace bissl::host {

/// A transform as the only step between an image and its view, so that all that is checked of
/// augmentations can be checked of it. Floats of an image are its pixels divided by 255. Throws a
/// Violation where the transform breaks a promise that an augmentation does not make: it writes
/// beside its room, changes an input that it must leave alone, or changes a shape in place.
std::shared_ptr<Augmentation> as_augmentation(std::shared_ptr<const Transform> transform);

}  // namespace bissl::host
