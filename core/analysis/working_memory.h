#pragma once

#include "analysis/figures.h"

#include <cstdint>

namespace bissl::host {

// How much memory figures and planes take while they are computed, beside the features that they
// are given: by their numbers of matrices of the size of the features, of the smaller of the
// products of the features with themselves, and of blocks of distances. Within about a fifth where
// it is more than a few megabytes.

/// What a figure is computed of.
struct AnalysedSize {
  int64_t samples = 1;
  int64_t width = 1;    ///< numbers of a feature
  int64_t classes = 1;  ///< of the labels
  int64_t views = 1;    ///< of each sample, for figures of views
};

/// Bytes of a figure.
double figure_bytes(const FigureInfo& figure, const AnalysedSize& size);

/// Bytes of principal_components.
double components_bytes(const AnalysedSize& size);

/// Bytes of tsne, or umap, with this many neighbours of each sample, at most N − 1 count.
double tsne_bytes(const AnalysedSize& size, int64_t neighbours);
double umap_bytes(const AnalysedSize& size, int64_t neighbours);

/// Bytes of trustworthiness.
double trustworthiness_bytes(const AnalysedSize& size);

}  // namespace bissl::host
