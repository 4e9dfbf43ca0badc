#pragma once

#include "cli/pipeline_arguments.h"

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>

namespace bissl::host {

struct PreviewArguments {
  std::string stage;  ///< one alone; empty: all
  int64_t samples = 8;
  std::filesystem::path to = "preview";
  bool tensorboard = false;  ///< the sheets in an event file, too
};

/// `bissl preview`: a sheet of images beside their views for each place of a stage that makes some,
/// as PNG files in a folder, and what the images of their sources are like. Returns the exit code;
/// throws Error.
int run_preview(const PipelineArguments& pipeline, const PreviewArguments& arguments,
                PluginSearch& plugins, std::ostream& out, std::ostream& err);

struct BenchDataArguments {
  std::string stage;   ///< one alone; empty: all
  double seconds = 1;  ///< for each part
};

/// `bissl bench data`: what reading, each transform and whole batches cost one thread, and how many
/// images the stages take. Returns the exit code; throws Error.
int run_bench_data(const PipelineArguments& pipeline, const BenchDataArguments& arguments,
                   PluginSearch& plugins, std::ostream& out, std::ostream& err);

}  // namespace bissl::host
