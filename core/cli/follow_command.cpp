#include "cli/exit_codes.h"
#include "cli/run_command.h"
#include "cli/run_settings.h"
#include "distributed/process_group.h"
#include "stages/follow.h"
#include "telemetry/interrupt.h"

#include <algorithm>
#include <sstream>
#include <thread>

namespace bissl::host {
namespace {

/// Leaves the reason for process 0. Where that is gone, whoever started this process sees it.
int end_with(ProcessGroup& group, const ProcessPlace& place, const std::string& reason,
             std::ostream& err) {
  const bool was_lost = group.is_lost();
  if (!was_lost && group.leave_reason(reason)) {
    return exit_run_failed;
  }
  if (!place.is_started) {
    err << fmt::format("error: process {} of {}: {}\n", place.meeting.rank, place.meeting.size,
                       reason);
  }
  return exit_run_failed;
}

}  // namespace

PipelineArguments arguments_of_process(PipelineArguments arguments, const ProcessPlace& place) {
  if (place.on_this_machine > 1) {
    const int all = arguments.threads > 0 ? arguments.threads
                                          : static_cast<int>(std::thread::hardware_concurrency());
    arguments.threads = std::max(1, all / place.on_this_machine);
  }
  if (place.meeting.size > 1) {
    arguments.choose_threads = false;  // each would choose by itself
  }
  return arguments;
}

int run_beside(const PipelineArguments& given, const ProcessPlace& place, PluginSearch& plugins,
               std::ostream& err) {
  PipelineArguments arguments = arguments_of_process(given, place);
  arguments.json = false;
  std::ostringstream said;  // process 0 finds the same, and prints it
  const auto pipeline = read_or_report(arguments, plugins, said, said);
  if (!pipeline) {
    return exit_wrong_input;
  }
  const RunSettings settings = make_settings(arguments, nullptr);
  install_interrupt_handlers();
  const std::unique_ptr<Meeting> meeting = meet(place.meeting);
  const std::unique_ptr<ProcessGroup> group = meeting->form();
  const GroupInUse in_use(*group);
  try {
    follow(*pipeline, settings, arguments.make_datasets());
    return exit_done;
  } catch (const Interrupted&) {
    return exit_interrupted;
  } catch (const std::exception& exception) {
    return end_with(*group, place, exception.what(), err);
  }
}

}  // namespace bissl::host
