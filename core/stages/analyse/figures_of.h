#pragma once

#include "analysis/figures.h"
#include "stages/analyse/source_features.h"
#include "store/stage_results.h"

#include <nlohmann/json.hpp>

#include <map>
#include <string>
#include <vector>

namespace bissl::host {

/// A figure that an analyse stage computes.
struct PlannedFigure {
  size_t source = 0;  ///< in options.data
  const FigureInfo* info = nullptr;
  std::string compared;        ///< the other network, for figures of networks; else empty
  size_t level = 0;            ///< of the maps, from 1; 0: the features themselves
  std::string metric() const;  ///< "rankme", "cka_pretrain", "rankme_map1", "cka_pretrain_map1"
};

/// All figures of a stage, as its options, its data and its backbone's maps allow them.
std::vector<PlannedFigure> planned_figures(const AnalyseParts& parts);

/// A score by the neighbours, a probe or a head.
struct PlannedScore {
  std::string metric;
  bool higher_is_better = true;
};

/// "knn20_top1" and, with more than 5 classes, "knn20_top5"; of each probe "logistic_top1",
/// "logistic_loss" and "logistic_ece"; "nc3" of the logistic regression. Without a bank only those
/// of a head; none for unlabelled data.
std::vector<PlannedScore> planned_scores(const AnalyseParts& parts, size_t source);

/// What networks made of all sources, of the rows that figures are of.
using AnalysedNetwork = std::vector<AnalysedSource>;

/// The rows `rows` of features and maps.
AnalysedSource chosen_rows(const AnalysedSource& all, const at::Tensor& rows);

/// The figures of one network. What has no value is not among them; `left_out` has the reasons, by
/// "DATA.METRIC". `labels` are those of the rows, by source; undefined for none.
std::vector<MetricResult> compute_figures(const AnalyseParts& parts, const AnalysedNetwork& network,
                                          const std::map<std::string, AnalysedNetwork>& compared,
                                          const std::vector<at::Tensor>& labels,
                                          std::map<std::string, std::string>& left_out);

/// Of each source the cosines of the principal angles between a network and each of those it is
/// compared with, largest first, by data source and compared stage: what "subspace_overlap" is the
/// mean square of. Null where that is not among the figures.
nlohmann::json compared_cosines(const AnalyseParts& parts, const AnalysedNetwork& network,
                                const std::map<std::string, AnalysedNetwork>& compared);

}  // namespace bissl::host
