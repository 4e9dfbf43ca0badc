#pragma once

#include <string>
#include <vector>

namespace bissl::host {

/// The programs whose networks have a backbone's tensors under these names: "torchvision", "timm",
/// or both, as of the ResNets. Empty for names that are neither's.
std::vector<std::string> programs_with_names(const std::vector<std::string>& tensors);

}  // namespace bissl::host
