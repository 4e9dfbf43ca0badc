#pragma once

#include "pipeline/config_tree.h"

#include <string>
#include <vector>

namespace bissl::host {

/// Whether two values of a key mean the same: numbers by their value, tables without regard to the
/// order of their entries.
bool same_value(const ConfigNode& left, const ConfigNode& right);

/// Short texts that distinguish values: a scalar as it is, a component by its name, with those of
/// its parameters that are needed where several share it. Labels of values that are not
/// same_value() differ. Numbers are exact: a label reads back as the same number.
std::vector<std::string> labels_of(const std::vector<ConfigNode>& values);

/// Labels of combinations of values, one for each key: the values' own labels with "+" between
/// them. `columns` has a list for each key, all of one length. They differ as in labels_of.
std::vector<std::string> joint_labels(const std::vector<std::vector<ConfigNode>>& columns);

/// Short names for dotted keys: their last part, or as many as it takes to tell them apart. The
/// keys must differ.
std::vector<std::string> short_names(const std::vector<std::vector<std::string>>& keys);

/// Parts of folder names for the labels of one axis: letters, digits and ".+-_=" stay, everything
/// else becomes "_". They differ even where a file system takes "A" and "a" for the same: parts
/// that would not, end in a hash of their label. A label's part does not depend on the labels'
/// order.
std::vector<std::string> folder_parts(const std::vector<std::string>& labels);

/// The value in TOML on one line.
std::string inline_toml(const ConfigNode& node);

}  // namespace bissl::host
