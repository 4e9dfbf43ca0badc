#pragma once

#include "pipeline/config_tree.h"
#include "pipeline/diagnostics.h"
#include "sweep/random_search.h"
#include "sweep/settings.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// One of the things that a sweep varies: one key, or several that are varied together.
struct Axis {
  struct Choice {
    std::string label;
    std::vector<KeyValue> settings;
  };

  std::string name;               ///< short, and unlike that of every other axis
  std::vector<std::string> keys;  ///< what it sets
  std::vector<Choice> choices;    ///< with labels that differ
  bool is_seed = false;           ///< its values are repetitions, not things to compare
  bool confounds_seed = false;    ///< it varies the seed together with something else
  bool is_tasks = false;          ///< its choices are tasks, over which arms are compared
};

/// A metric that the file names.
struct AskedMetric {
  std::string key;  ///< of the file: "metric", "reference", "search.select"
  Location at;
  std::string metric;  ///< as MetricName::text() spells it
};

/// An ablation file, read but not yet checked with its pipeline's components.
struct Ablation {
  std::string name;
  std::filesystem::path file;
  std::filesystem::path pipeline;    ///< relative to the file that names it, resolved
  std::vector<std::string> metrics;  ///< "stage.data.metric"; the first is the one to compare by
  std::string reference;             ///< a metric that the first is compared with; may be empty
  std::vector<AskedMetric> asked;    ///< these and the reference, with their places
  /// Whether more of the first metric is better; unset: as the metric says it.
  std::optional<bool> maximise;
  std::vector<std::string> stages;  ///< to be run, with those they continue; empty: all
  std::vector<KeyValue> set;        ///< for all cells
  std::vector<Axis> axes;           ///< in the order of the file, those of [[zip]] last
  std::vector<std::vector<KeyValue>> exclude;
  /// For each axis the number of its baseline choice; none for the seed's.
  std::vector<std::optional<size_t>> baseline;
  std::optional<SearchSpec> search;
};

/// Reads an ablation file: `pipeline`, `name`, `metric`, `reference`, `goal`, `stages`, `[set]`,
/// `tasks`, `[axes]`,
/// `[[zip]]`, `[[exclude]]`, `[baseline]`, `[search]`, and `include` as in pipelines. All faults
/// are reported together; nothing is returned if there is one.
std::optional<Ablation> read_ablation(const std::filesystem::path& file,
                                      DiagnosticCollector& diagnostics);

}  // namespace bissl::host
