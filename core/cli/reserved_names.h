#pragma once

#include <string>

namespace bissl::host {

/// Why no plugin can be called `name` (of the form [a-z0-9-]+): its project's targets, file and
/// class come from the name. The rest of a sentence that begins with the name; empty if it can be.
std::string why_reserved(const std::string& name);

}  // namespace bissl::host
