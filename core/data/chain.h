#pragma once

#include "bissl/augmentation.h"
#include "plugins/component.h"

#include <memory>
#include <vector>

namespace bissl::host {

/// The transforms of a chain, at least one, as an augmentation: each works on what the one before
/// it gives, the first on the dataset's 8-bit pixels. Each draws from a part of the view's stream
/// that is named after it (RandomStream::part), the second `blur` of a chain from "blur#1": what
/// one step draws does not depend on the others.
///
/// Throws Error(ErrorKind::input) where a step takes what the one before it does not give, or the
/// last gives no float planes. Errors name the step, its library and its place.
std::shared_ptr<const Augmentation> make_chain(const std::vector<ComponentChoice>& steps);

}  // namespace bissl::host
