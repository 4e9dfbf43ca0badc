#pragma once

#include "cli/pipeline_arguments.h"
#include "plugins/search.h"

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

namespace bissl::host {

struct ExportArguments {
  std::filesystem::path stage;  ///< RUN/STAGE
  std::filesystem::path to;     ///< .safetensors, .pth or .pt
  std::string names;  ///< "torchvision" or "timm": whose the tensors get; empty: their own
  std::optional<int64_t> network;  ///< of several that the stage has trained
  bool no_head = false;
  bool force = false;  ///< replace files that are there
};

/// `bissl export RUN/STAGE --to FILE`: writes a finished stage's weights for other programs, and
/// beside them FILE.json with what is needed to use them.
int run_export(const PipelineArguments& arguments, const ExportArguments& options,
               PluginSearch& plugins, std::ostream& out, std::ostream& err);

}  // namespace bissl::host
