#pragma once

#include "pipeline/pipeline.h"
#include "plugins/registry.h"

#include <string>

namespace bissl::host {

/// TOML that uses the component with its defaults, each key under a comment. Required parameters
/// have a value that is accepted, texts as "…"; optional ones that have no value are
/// commented out. Always well-formed TOML; "use" is qualified if `qualified`.
std::string toml_snippet(const RegisteredComponent& component, bool qualified);

/// The same for a stage of the kind. Components are the first of each kind in the registry, with
/// the names of all in the comment, or "NAME" where none is loaded.
std::string toml_snippet(const StageKindSpec& kind, const Registry& registry);

/// A value that the parameter accepts: its default, or a simple one within its bounds.
Value example_value(const ParameterSpec& spec);

}  // namespace bissl::host
