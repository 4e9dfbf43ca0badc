#pragma once

#include "analysis/figures.h"
#include "pipeline/pipeline.h"
#include "stages/stage_kind.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// `monitor = { … }` of a stage that trains a backbone on a pretext task; of each source where
/// there are several, `monitor = [{ … }, { … }]`.
struct MonitorOptions {
  std::string data;
  int64_t every = 1;
  std::vector<std::string> figures = {"feature_std", "rankme"};
  int64_t samples = 1000;
  int64_t batch = 250;
  int64_t k = 20;
  double temperature = 0.07;
  double warn_below = 0.1;
  std::string keep_best;
  bool histograms = false;

  bool has(const std::string& figure) const;
  /// One of the figures needs the classes of the images.
  bool needs_labels() const;
};

inline constexpr const char* monitor_key = "monitor";
/// The figure of a monitor that core/analysis does not have.
inline constexpr const char* knn_figure = "knn";

MonitorOptions parse_monitor(const Table& table);
SubtableSpec monitor_table();

/// The tables of a stage's monitor, one for each data source; none where it has none.
std::vector<const Table*> monitor_tables(const Stage& stage);

/// What a stage's monitor does with its data sources.
std::vector<DataUse> monitored_data(const Stage& stage);

/// The figure of core/analysis that a monitor takes by this name; null for "knn".
const FigureInfo* monitor_figure(const std::string& name);

/// Whether more of a monitor's figure is better; none where neither is.
std::optional<bool> monitor_direction(const std::string& name);

}  // namespace bissl::host
