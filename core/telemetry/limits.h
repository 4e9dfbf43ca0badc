#pragma once

#include <exception>
#include <string>

namespace bissl::host {

/// What an exception says, and where it comes from a limit of the process (memory, threads,
/// processes, open files): which limit, its value, and what to do. Others give their own text.
std::string explain_limits(const std::exception& exception);

/// The same for an errno value; empty where no limit is behind it. Starts with ". ", to follow the
/// system's own text.
std::string limit_advice(int error);

/// Throws Error(run) unless as many threads more can run at once. Libraries below LibTorch wait for
/// ever for threads that the system refused, so this has to be asked before they start any.
void require_threads(int count);

/// The processors that the process may run on.
int available_processors();

/// As many threads as the process may use: one for each of its processors, or fewer if
/// OMP_NUM_THREADS asks for that. Of "4,2" the first counts, that of parallel regions which lie in
/// no other.
int usual_threads();

}  // namespace bissl::host
