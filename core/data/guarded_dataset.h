#pragma once

#include "bissl/dataset.h"
#include "plugins/component.h"

#include <memory>

namespace bissl {

/// An instance of a dataset whose methods, when they throw, name component, library, TOML position
/// and method in the error. The component is asked for its fingerprint once. The host only ever
/// holds these.
std::shared_ptr<const Dataset> create_guarded_dataset(const ComponentChoice& choice);

}  // namespace bissl
