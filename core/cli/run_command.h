#pragma once

#include "cli/pipeline_arguments.h"
#include "distributed/process_place.h"

#include <filesystem>
#include <functional>

namespace bissl::host {

/// `bissl run`: runs the pipeline and prints the table of results. Returns the exit code; throws
/// Error and Interrupted. With `profile`, profiles of the stages are written into the run's folder.
int run_run(const PipelineArguments& arguments, bool profile, PluginSearch& plugins,
            std::ostream& out, std::ostream& err);

/// `bissl run` of a process other than 0 of several: computes what process 0 does. Returns the exit
/// code; process 0 prints what went wrong.
int run_beside(const PipelineArguments& arguments, const ProcessPlace& place, PluginSearch& plugins,
               std::ostream& err);

/// What a process other than 0 of several does once it has read its input: it meets the others and,
/// where process 0 does not end it at once, calls `work` with a folder for its files; the group is
/// the current one meanwhile. Returns the exit code; what `work` throws is left for process 0,
/// which prints it. Throws Error(input) as meet().
int work_in_group(const ProcessPlace& place,
                  const std::function<void(const std::filesystem::path& scratch)>& work,
                  std::ostream& err);

/// How many threads one of several processes gets: its share of `wanted`, those that the call asks
/// for, or, where that is 0, of what this machine has for all of them. `usual` and `available` are
/// usual_threads() and available_processors() of this process.
int threads_of_process(const ProcessPlace& place, int wanted, int usual, int available);

/// The arguments with the threads that one of several processes gets of them.
PipelineArguments arguments_of_process(PipelineArguments arguments, const ProcessPlace& place);

/// `bissl check`: what can be found out without training. Returns the exit code.
int run_check(const PipelineArguments& arguments, PluginSearch& plugins, std::ostream& out,
              std::ostream& err);

}  // namespace bissl::host
