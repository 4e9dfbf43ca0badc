#pragma once

#include "cli/pipeline_arguments.h"
#include "plugins/search.h"

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

struct ImportArguments {
  std::filesystem::path file;
  std::string stage = "start";      ///< the name of the stage that is written
  std::string source = "detect";    ///< as of the stage's key
  std::vector<std::string> allow;   ///< likewise
  std::optional<int64_t> channels;  ///< unset: those that a stage of the pipeline sees
  std::optional<int64_t> size;
  bool dry_run = false;
};

/// `bissl import FILE --into P.toml`: says how the file's weights fit the pipeline's backbone, and
/// adds an import stage to the pipeline's end. Nothing is written where they do not fit, or where
/// the pipeline has a stage of that name.
int run_import_command(const PipelineArguments& arguments, const ImportArguments& import,
                       PluginSearch& plugins, std::ostream& out, std::ostream& err);

}  // namespace bissl::host
