#pragma once

#include <string>
#include <vector>

namespace bissl::host {

/// Patterns (fits_pattern) of what programs call classifiers and projectors that lie within a
/// network, below its own prefix. "head" alone is not among them: "head.norm" is a ConvNeXt's own.
const std::vector<std::string>& head_names();

}  // namespace bissl::host
