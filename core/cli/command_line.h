#pragma once

namespace bissl::host {

/// Reads the program's arguments, carries out what they ask for and returns the exit code. Wrong
/// arguments are reported on standard error. Throws what the calls throw.
int run_command_line(int count, char** arguments);

}  // namespace bissl::host
