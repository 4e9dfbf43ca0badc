#pragma once

#include "stages/analyse/parts.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace bissl::host {

// Pictures of a source beside the bank, written to the stage's folder. Both return the files'
// names.

/// neighbours-DATA.png: eight images of the source, spread evenly, each followed by its six nearest
/// of the bank by the cosine; the frame says whether a neighbour has the query's class. The CSV of
/// that name says the same in words. `bank` has rows of length 1.
std::vector<std::string> draw_neighbours(const StageContext& context, const AnalyseParts& parts,
                                         size_t source, const at::Tensor& bank,
                                         const at::Tensor& features);

/// confusion-DATA.csv and .svg: how many images of each class (rows) the neighbours take for which
/// (columns). `votes` (N, C) as KnnClassifier gives them, `categories` (N).
std::vector<std::string> draw_confusion(const StageContext& context, const AnalyseParts& parts,
                                        size_t source, const at::Tensor& votes,
                                        const at::Tensor& categories);

}  // namespace bissl::host
