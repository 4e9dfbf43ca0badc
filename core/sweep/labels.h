#pragma once

#include "pipeline/config_tree.h"

#include <string>
#include <vector>

namespace bissl {

/// Short texts that tell values apart: a scalar as it is, a component by its name, with those of
/// its parameters that are needed where several share it. All differ, if the values do.
std::vector<std::string> labels_of(const std::vector<ConfigNode>& values);

/// Short names for dotted keys: their last part, or as many as it takes to tell them apart.
std::vector<std::string> short_names(const std::vector<std::vector<std::string>>& keys);

/// The value in TOML on one line.
std::string inline_toml(const ConfigNode& node);

}  // namespace bissl
