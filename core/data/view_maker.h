#pragma once

#include "bissl/augmentation.h"
#include "pipeline/table.h"

#include <memory>

namespace bissl::host {

/// What a table's `augment` or `views` asks for, as one augmentation: view number v is made by the
/// group that it falls into, views behind the last declared one by the last group. Throws
/// Error(ErrorKind::input) for a chain whose steps do not fit. Errors name component, library and
/// TOML position.
std::shared_ptr<const Augmentation> make_augmentation(const ViewsChoice& choice);

}  // namespace bissl::host
