#pragma once

#include "cli/pipeline_arguments.h"

namespace bissl::host {

/// `bissl run`: runs the pipeline and prints the table of results. Returns the exit code; throws
/// Error and Interrupted. With `profile`, profiles of the stages are written into the run's folder.
int run_run(const PipelineArguments& arguments, bool profile, PluginSearch& plugins,
            std::ostream& out, std::ostream& err);

/// `bissl check`: what can be found out without training. Returns the exit code.
int run_check(const PipelineArguments& arguments, PluginSearch& plugins, std::ostream& out,
              std::ostream& err);

}  // namespace bissl::host
