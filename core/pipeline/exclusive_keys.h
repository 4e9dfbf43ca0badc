#pragma once

#include "pipeline/config_tree.h"
#include "pipeline/pipeline.h"

#include <vector>

namespace bissl::host {

/// Where keys of a group in TableSpec::exclusive come from different layers, erases those that a
/// later layer overrules, in the table and in its subtables. Keys of one layer all stay: that two
/// of them are given is for the table's rules to say.
void drop_overruled(ConfigNode& table, const TableSpec& spec);

/// The same for every stage of a pipeline's tree that says its kind, itself or by `like`.
void drop_overruled(ConfigNode& root, const std::vector<StageKindSpec>& kinds);

}  // namespace bissl::host
