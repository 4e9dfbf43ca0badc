#include "base/scratch_folder.h"
#include "cli/exit_codes.h"
#include "cli/run_command.h"
#include "cli/run_settings.h"
#include "distributed/process_group.h"
#include "stages/follow.h"
#include "telemetry/interrupt.h"
#include "telemetry/limits.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>

namespace bissl::host {
namespace {

/// Leaves the reason for process 0. Where that is gone, whoever started this process sees it.
/// `group` is null where it was not made. Returns the exit code.
int end_with(const std::string& reason, Meeting& meeting, ProcessGroup* group,
             const ProcessPlace& place, std::ostream& err) {
  const bool was_lost = group == nullptr || group->is_lost();
  if (was_lost && meeting.has_interrupted()) {  // process 0 says so
    meeting.leave(/*interrupted=*/true);
    return exit_interrupted;
  }
  const bool is_left = !was_lost && group->leave_reason(reason);
  meeting.leave(/*interrupted=*/false);
  if (!is_left && !place.is_started) {
    err << fmt::format("error: process {} of {}: {}\n", place.meeting.rank, place.meeting.size,
                       reason);
  }
  return exit_run_failed;
}

}  // namespace

int work_in_group(const ProcessPlace& place,
                  const std::function<void(const std::filesystem::path& scratch)>& work,
                  std::ostream& err) {
  // Before they have met a signal ends this process as any other: nothing would be lost.
  const std::unique_ptr<Meeting> meeting = meet(place.meeting);
  install_interrupt_handlers();
  std::unique_ptr<ProcessGroup> group;
  try {
    const std::optional<int> code = meeting->decided();
    if (!code) {
      group = meeting->form();
      const GroupInUse in_use(*group);
      work(place.scratch.empty() ? temporary_place() : place.scratch);
    }
    meeting->leave(/*interrupted=*/false);
    return code.value_or(exit_done);
  } catch (const Interrupted&) {
    meeting->leave(/*interrupted=*/true);
    return exit_interrupted;
  } catch (const std::exception& exception) {
    return end_with(exception.what(), *meeting, group.get(), place, err);
  }
}

int threads_of_process(const ProcessPlace& place, int wanted, int usual, int available) {
  const int sharers = place.on_this_machine;
  if (wanted > 0) {
    return std::max(1, wanted / sharers);
  }
  if (place.starts_others || place.is_started) {
    return std::max(1, usual / sharers);
  }
  // Whoever starts each by itself sets OMP_NUM_THREADS for each, as torchrun does, and may have
  // bound it to processors of its own, as srun does: then all have more than this one.
  const int all = place.processors > 0 ? place.processors : available;
  return std::clamp(all / sharers, 1, usual);
}

PipelineArguments arguments_of_process(PipelineArguments arguments, const ProcessPlace& place) {
  if (place.on_this_machine > 1) {
    arguments.threads =
        threads_of_process(place, arguments.threads, usual_threads(), available_processors());
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
  const auto work = [&](const std::filesystem::path& scratch) {
    DataCatalog data(*pipeline, arguments.make_datasets());
    const auto find = [&](const std::string& name, const std::string& /*key*/) {
      return FollowedStage{*pipeline, pipeline->stage(name), data};
    };
    follow(find, settings, scratch);
  };
  return work_in_group(place, work, err);
}

}  // namespace bissl::host
