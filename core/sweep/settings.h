#pragma once

#include "pipeline/config_tree.h"

#include <string>

namespace bissl::host {

/// A key of the pipeline, as it is written ("stage.bissl.lambda"), with what it is set to.
struct KeyValue {
  std::string key;
  Location at;
  ConfigNode value;
};

/// Whether `value` has all that `pattern` has: tables by their entries, numbers by their value.
bool matches(const ConfigNode& value, const ConfigNode& pattern);

/// A tree with nothing but this value at its dotted key; to be merged into a pipeline's.
ConfigNode tree_of(const KeyValue& setting);

/// The value at a dotted key of a tree, or null.
const ConfigNode* value_at(const ConfigNode& root, const std::string& dotted);

}  // namespace bissl::host
