#pragma once

#include <exception>

namespace bissl::host {

/// What a stage throws once it has seen interrupted() and has written its checkpoint. Not an Error:
/// nothing went wrong. The program leaves with exit code 130.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

inline constexpr int interrupted_exit_code = 130;

/// From now on these signals only make interrupted() true, so that the run can write its
/// checkpoint: SIGINT, SIGTERM, SIGHUP (the terminal is gone), SIGUSR1 and SIGUSR2 (what batch
/// systems send ahead of their time limit), SIGXCPU (the limit on CPU time is near). A SIGINT after
/// the first of them ends the process at once, with _exit(130). All but SIGINT and SIGTERM stay
/// ignored if they are: nohup starts a program so. System calls that a signal meets are restarted.
void install_interrupt_handlers();

/// Whether the run should end. Cheap; from any thread.
bool interrupted();

/// What came first, for people: "interrupted by SIGTERM".
const char* interrupt_cause();

/// Does what a first signal does.
void request_interrupt();
/// Forgets the signal, as if none had come.
void reset_interrupt();

}  // namespace bissl::host
