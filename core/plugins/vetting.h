#pragma once

#include "plugins/load_report.h"
#include "plugins/refusal.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace bissl::host {

/// Loads a library for trial: `trial` runs in a child process and returns the problems that it
/// found; they are the result. A child that does not end by itself gives one problem of
/// step "vet": "crashed" (a signal), "exited" (the library ended the process), "hung" (not done
/// within `limit`, then killed) or "not_vetted" (no child could be made, or its answer was not
/// understood). Its output and error stream end up in that problem's `found`, cut to the last few
/// hundred characters, and nowhere else.
///
/// This protects from accidents, not from malice: the child has all rights of this process.
///
/// Threads: forks without exec, so call it before this process starts threads that take locks; a
/// lock that another thread holds at that moment stays closed in the child, which then hangs until
/// the limit.
std::vector<LoadProblem> vet(
    const std::string& path, std::chrono::milliseconds limit,
    const std::function<std::vector<LoadProblem>(const StepObserver&)>& trial);

}  // namespace bissl::host
