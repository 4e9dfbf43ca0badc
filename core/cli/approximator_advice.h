#pragma once

#include "plugins/component.h"

#include <memory>
#include <string>
#include <vector>

namespace bissl::host {

/// What can be chosen in the place of an approximator that needs second derivatives, of each
/// hypergradient approximator among `components` the first choice that needs none: its defaults, or
/// one of its declared choices in the place of a default. In TOML: `use = "darts"; use = "cg",
/// products = "finite-difference"`. Those that cannot be made without values of the user's are left
/// out.
std::string approximators_without_second_derivatives(
    const std::vector<std::shared_ptr<const RegisteredComponent>>& components);

}  // namespace bissl::host
