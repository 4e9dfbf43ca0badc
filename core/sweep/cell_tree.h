#pragma once

#include "pipeline/config_loader.h"
#include "sweep/ablation.h"
#include "sweep/plan.h"

#include <vector>

namespace bissl::host {

/// The tree of the pipeline that an ablation varies, and what cells lay on it.
class CellTree {
 public:
  /// All must outlive it.
  CellTree(const Ablation& ablation, const PipelineSources& sources,
           DiagnosticCollector& diagnostics);

  /// Reads the pipeline's file and lays `changes` and the ablation's `set` on it; false, with a
  /// report, if it cannot be read.
  bool load(const Changes& changes);
  const ConfigNode& base() const { return base_; }

  /// Reports keys of the ablation that are of a stage or a data source that the pipeline does not
  /// have: setting them would make it.
  void check_keys();

  /// Lays settings on a tree as one layer: of two keys that exclude each other, neither overrules
  /// the other. Tables first and their entries after them, whatever their order in the file.
  void lay(ConfigNode& root, std::vector<KeyValue> settings);

 private:
  void check_key(const std::string& key, const Location& at);
  void check_keys_of(const std::vector<KeyValue>& settings);

  const Ablation& ablation_;
  MergeRules rules_;
  DiagnosticCollector& diagnostics_;
  ConfigNode base_;
};

}  // namespace bissl::host
