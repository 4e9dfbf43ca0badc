#pragma once

#include "cli/pipeline_arguments.h"
#include "plugins/search.h"

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>

namespace bissl::host {

struct FeaturesArguments {
  std::string stage;
  std::string data;
  std::filesystem::path to;  ///< .safetensors, .npy or .csv
  std::string views;         ///< a stage whose views are taken; empty: see scoring_views
  int64_t network = 0;
  int64_t batch = 250;
  bool outputs = false;            ///< of the head, too
  std::string precision = "fp32";  ///< of the backbone's passes: "bf16" or "fp16" as well
  bool force = false;              ///< replace files that are there
};

/// `bissl features P.toml --stage S --data D --to F`: writes what the network of a finished stage
/// makes of each sample.
int run_features(const PipelineArguments& arguments, const FeaturesArguments& features,
                 PluginSearch& plugins, std::ostream& out, std::ostream& err);

}  // namespace bissl::host
