#pragma once

#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// Parts of names and what they become, for with_parts_replaced, one after the other.
using NameParts = std::vector<std::pair<std::string, std::string>>;

/// How torchvision's names of these networks, which the backbones have, become timm's.
NameParts timm_names_of_mobilenet_v2();
NameParts timm_names_of_efficientnet_b0();

/// The way back.
NameParts turned_round(const NameParts& parts);

}  // namespace bissl::host
