#pragma once

#include "bissl/tensor_list.h"

#include <string>
#include <vector>

namespace bissl::host {

/// The programs whose networks have a backbone's tensors under these names: "torchvision", "timm",
/// or both, as of the ResNets. Empty for names that are neither's.
std::vector<std::string> programs_with_names(const std::vector<std::string>& tensors);

/// A backbone's tensors, and behind them those of its head, if it has one, as `program`
/// ("torchvision" or "timm") calls and shapes those of the same network with a classifier. Vision
/// transformers and ConvNeXts, which have timm's names here, get torchvision's by it, MobileNets
/// and EfficientNets, which have torchvision's, get timm's.
///
/// Throws Error(input), which says what is in the way, where the program has no such network, where
/// its names of it are not known, or where the head is more than one linear layer.
NamedTensors with_names_of(const std::string& program, const NamedTensors& backbone,
                           const NamedTensors& head);

}  // namespace bissl::host
