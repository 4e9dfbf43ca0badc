#pragma once

#include "cli/pipeline_arguments.h"
#include "plugins/search.h"

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

namespace bissl::host {

struct CompareArguments {
  std::filesystem::path data;
  double minutes = 30;
  int64_t seeds = 0;                ///< how often each arm is run; 0: six times
  int64_t size = 0;                 ///< of views, in pixels; 0: chosen
  std::filesystem::path unlabeled;  ///< empty: the labelled images themselves
  std::filesystem::path weights;    ///< empty: random weights
  std::string backbone = "resnet18";
  std::string name;      ///< of the sweep; empty: after the data's folder
  bool dry_run = false;  ///< write the files and stop
  int jobs = 1;
  std::vector<std::string> common;  ///< options of the program that workers are to be given as well
};

/// `bissl compare DATA`: looks at a folder of labelled images, chooses settings that take about
/// --minutes, runs the arms with several seeds and says which one is better, in plain words. Leaves
/// the pipeline and the ablation that it used beside the sweep's folder.
int run_compare(const PipelineArguments& arguments, const CompareArguments& compare,
                PluginSearch& plugins, std::ostream& out, std::ostream& err);

}  // namespace bissl::host
