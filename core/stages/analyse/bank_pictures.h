#pragma once

#include "stages/analyse/parts.h"

#include <ATen/core/Tensor.h>

#include <array>
#include <string>
#include <vector>

namespace bissl::host {

/// Frames around images: the class is right, is another one, is not known.
inline constexpr std::array<uint8_t, 3> hit_frame = {0, 158, 115};
inline constexpr std::array<uint8_t, 3> miss_frame = {230, 120, 0};
inline constexpr std::array<uint8_t, 3> unknown_frame = {150, 150, 150};

// Pictures of a source, written to the stage's folder. They return the files' names.

/// neighbours-DATA.png: the images `queries` of the source, or eight that are spread evenly, each
/// with its number and class and followed by its six nearest of the bank with their cosines and
/// classes; the frame says whether a neighbour has the query's class. The CSV of that name says the
/// same in words. `bank` has rows of length 1.
std::vector<std::string> draw_neighbours(const StageContext& context, const AnalyseParts& parts,
                                         size_t source, const at::Tensor& bank,
                                         const at::Tensor& features);

/// thumbnails-DATA.png: the samples `rows` in a square grid, row by row, each as large as a file of
/// a megabyte allows, at most 32 pixels: what a report shows beside points. Nothing where they
/// would have less than 8.
std::vector<std::string> draw_thumbnails(const StageContext& context, const AnalyseParts& parts,
                                         size_t source, const at::Tensor& rows);

}  // namespace bissl::host
