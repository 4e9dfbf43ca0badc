#pragma once

#include "data/selection.h"
#include "stages/features.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bissl::host {

/// The files that write_features makes for `to`: itself, for .npy those of names, targets and
/// outputs, for .tsv those that go with it, too. Throws Error(input) for an extension that is none
/// of .safetensors, .npy, .csv, .tsv.
std::vector<std::filesystem::path> feature_files(const std::filesystem::path& to,
                                                 const FeatureTable& table);

/// Writes the table, each file whole or not at all.
///
/// - .safetensors: tensors features, targets, outputs, and sample_names, bytes with a zero behind
///   each name; `metadata` and the names of the targets (a JSON list under "target_names") in its
///   header;
/// - .npy: the features; targets in NAME.targets.npy, outputs in NAME.outputs.npy, names of the
///   samples in NAME.names.npy, of NumPy's type of texts, with bytes that are not UTF-8 as Python
///   has them in names of files (surrogateescape);
/// - .csv: a row for each sample with its number, its name, its target (a category by number and
///   by name), outputs and features; numbers in the shortest form that reads back as the same.
/// - .tsv: for TensorBoard's projector, the features; number, name and target of each sample in
///   NAME.metadata.tsv, thumbnails in NAME.sprite.png, and projector_config.pbtxt, which names
///   these. `images` are the samples' images; for the other forms they are not looked at.
void write_features(const std::filesystem::path& to, const FeatureTable& table,
                    const std::map<std::string, std::string>& metadata, const DataView& images);

}  // namespace bissl::host
