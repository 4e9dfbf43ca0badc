#pragma once

#include <filesystem>
#include <vector>

namespace bissl::host::test {

// The TOML files of the repository, but for those of the fuzz targets, which may be wrong.

/// Pipelines that work with the components that ship.
std::vector<std::filesystem::path> shipped_pipelines();

/// Ablations of such pipelines.
std::vector<std::filesystem::path> shipped_ablations();

/// Pipelines of the examples of plugins, each in the folder of its example.
std::vector<std::filesystem::path> example_pipelines();

/// Makes a folder with the plugins of the examples.
void copy_example_plugins(const std::filesystem::path& folder);

/// Whether a check of it belongs into methods_test: the pipelines of methods, which are many, and
/// the ablations over all methods, backbones or approximators.
bool takes_minutes(const std::filesystem::path& file);

}  // namespace bissl::host::test
