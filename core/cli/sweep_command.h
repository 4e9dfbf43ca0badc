#pragma once

#include "cli/pipeline_arguments.h"
#include "plugins/search.h"

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

struct SweepArguments {
  bool plan = false;    ///< print what would be done, with an estimate
  bool check = false;   ///< only check all cells
  bool status = false;  ///< print the cells' states
  std::string cell;     ///< the id of a cell whose pipeline is to be printed; empty for none
  std::optional<int64_t> draw;  ///< which draw of that cell's search
  int jobs = 1;
  int64_t attempts = 3;
  bool stop_on_failure = false;
  bool slurm = false;
  std::vector<std::string> slurm_options;
  std::string worker;  ///< the folder of a sweep to work on; empty for the other calls
  /// Options of the program that workers are to be given as well.
  std::vector<std::string> common;
};

/// `bissl sweep A.toml`: checks all cells, then runs what is not yet in the store, and prints a
/// table of cells. Exit code 1 if a cell failed.
int run_sweep(const PipelineArguments& arguments, const SweepArguments& sweep,
              PluginSearch& plugins, std::ostream& out, std::ostream& err);

}  // namespace bissl::host
