#pragma once

#include "stages/analyse/figures_of.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace bissl::host {

/// How many neighbours the metrics NAME_trustworthiness are of.
inline constexpr int64_t trusted_neighbours = 10;

/// The pictures of the options that have a point for each sample: "pca", "tsne", "umap". Each has a
/// metric NAME_trustworthiness, which higher is better of, where there are more than twice as many
/// samples as `trusted_neighbours`.
std::vector<std::string> chosen_planes(const AnalyseOptions& options);

/// Warnings about numbers of neighbours that `samples` samples of the source do not have.
std::vector<std::string> plane_doubts(const AnalyseOptions& options, const std::string& data,
                                      int64_t samples);

/// The samples of a source of which pictures are.
struct DrawnSamples {
  size_t source = 0;  ///< in options.data
  at::Tensor rows;    ///< (n), int64
  at::Tensor labels;  ///< (n), int64; undefined for none
};

/// NAME-DATA.svg, .png and .csv for each of the planes, with the stage's network and those of
/// `compare` side by side, and thumbnails-DATA.png. Written to the stage's folder; returns the
/// files' names and adds the trustworthiness of the stage's network to `metrics`; what too few
/// samples do not allow is in `left_out`, by "DATA.tsne" and "DATA.tsne_trustworthiness". Ends with
/// Interrupted where the user asks for it.
std::vector<std::string> draw_planes(const StageContext& context, const AnalyseParts& parts,
                                     const DrawnSamples& samples, const AnalysedNetwork& network,
                                     const std::map<std::string, AnalysedNetwork>& compared,
                                     std::vector<MetricResult>& metrics,
                                     std::map<std::string, std::string>& left_out);

}  // namespace bissl::host
