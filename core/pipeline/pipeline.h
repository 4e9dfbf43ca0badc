#pragma once

#include "pipeline/table.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl {

/// `[data.NAME]`: a dataset component and the host's choice among its samples (DataOptions).
struct DataSource {
  std::string name;
  ComponentChoice dataset;
  Table selection;
};

/// `[stage.NAME]`.
struct Stage {
  std::string name;
  std::string kind;  ///< a name among stage_kinds()
  std::string from;  ///< the parent stage's name; empty when the stage starts from random weights
  Table table;       ///< without kind, from and like
};

/// A pipeline that was read and checked; nothing of its data has been opened.
struct Pipeline {
  std::string name;
  uint64_t seed = 0;
  std::filesystem::path file;
  std::vector<DataSource> data;
  ComponentChoice backbone;
  std::vector<Stage> stages;  ///< parents before children, otherwise in the order of the file

  const DataSource& data_source(const std::string& name) const;
  const Stage& stage(const std::string& name) const;
};

/// The kinds of stage, and what each's table may hold. The pipeline reader knows kinds only by
/// this description, which the stages' own code hands to it.
struct StageKindSpec {
  std::string name;
  std::string summary;
  TableSpec table;
  bool needs_parent = false;   ///< `from` must name a stage or be "scratch"
  bool may_be_parent = false;  ///< others may continue from it
  /// Names of the table's parameters, and of parameters of its subtables ("lower.data"), that name
  /// a data source.
  std::vector<std::string> data_keys;
  /// The subtable whose missing entries (parameters, components) are taken from the table of the
  /// nearest ancestor of kind `inherit_kind`; empty for none.
  std::string inherit_into;
  std::string inherit_kind;
};

}  // namespace bissl
