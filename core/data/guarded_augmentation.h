#pragma once

#include "bissl/augmentation.h"
#include "plugins/component.h"

#include <memory>

namespace bissl::host {

/// An augmentation whose methods, when they throw, name component, library, TOML position and
/// method in the error. The host only ever holds these.
std::shared_ptr<const Augmentation> guarded(std::shared_ptr<Augmentation> augmentation,
                                            const ComponentChoice& choice);

/// A new instance of the same sort.
std::shared_ptr<const Augmentation> create_guarded_augmentation(const ComponentChoice& choice);

}  // namespace bissl::host
