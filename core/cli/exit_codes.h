#pragma once

#include "telemetry/interrupt.h"

namespace bissl::host {

// What the program's calls end with.
inline constexpr int exit_done = 0;
inline constexpr int exit_run_failed = 1;
inline constexpr int exit_wrong_input = 2;
inline constexpr int exit_not_tested = 3;  ///< of `conform`
inline constexpr int exit_interrupted = interrupted_exit_code;

}  // namespace bissl::host
