#pragma once

#include "pipeline/pipeline.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl::host {

/// `[stage.NAME]` of kind "analyse".
struct AnalyseOptions {
  std::vector<std::string> data;
  std::string bank;
  std::vector<std::string> compare;
  std::vector<std::string> figures;
  std::vector<std::string> layers{"rankme", "nc1", "cka"};
  std::vector<int64_t> k{20};
  std::vector<std::string> probe{"logistic"};
  double temperature = 0.07;
  int64_t samples = 5000;
  int64_t batch = 250;
  std::vector<std::string> pictures{"pca"};
  std::vector<int64_t> queries;
  double perplexity = 30;
  int64_t umap_neighbours = 15;
  double umap_distance = 0.1;
  std::string precision = "fp32";
};

/// `pairs = { … }`
struct PairsOptions {
  int64_t count = 4;
  int64_t samples = 500;
};

/// `probe_views = { … }`
struct ProbeViewsOptions {
  int64_t count = 8;
};

AnalyseOptions parse_analyse(const Table& table);
/// Of the table `pairs`.
PairsOptions parse_pairs(const Table& table);
/// Of the table `probe_views`.
ProbeViewsOptions parse_probe_views(const Table& table);
StageKindSpec analyse_spec();

}  // namespace bissl::host
