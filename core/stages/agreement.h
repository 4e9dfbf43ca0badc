#pragma once

#include <cstdint>

namespace bissl::host {

// What the processes of a group agree on while they compute a stage. In a group each of these calls
// adds up or sends numbers: all of them must make it, at the same place of their work, never in
// a loop whose length a clock or the process decides. A process that works alone, or apart from the
// others, asks interrupted() instead.

/// Whether the run should end: whether any of the processes is interrupted().
bool interrupted_by_any();

/// Throws Interrupted, in all processes alike, where any of them is interrupted().
void stop_if_any_interrupted();

/// Throws Error(run), in all processes alike, unless all of them begin a training with the same
/// step: what they add up would be of different steps.
void require_same_step(int64_t first);

/// What process 0 has found, on all processes of a group; `own` where this one works alone. For
/// figures that something is decided by: other processors may find other last digits of them.
double of_process_0(double own);

}  // namespace bissl::host
