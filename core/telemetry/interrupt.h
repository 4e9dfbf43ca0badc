#pragma once

#include <exception>

namespace bissl {

/// What a stage throws once it has seen interrupted() and has written its checkpoint. Not an Error:
/// nothing went wrong. The program leaves with exit code 130.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

inline constexpr int interrupted_exit_code = 130;

/// From now on SIGINT and SIGTERM only make interrupted() true, so that the run can write its
/// checkpoint; a SIGINT after that ends the process at once, with _exit(130). System calls that a
/// signal meets are restarted.
void install_interrupt_handlers();

/// Whether the run should come to an end. Cheap; from any thread.
bool interrupted();

/// Does what a first signal does.
void request_interrupt();
/// Forgets the signal, as if none had come.
void reset_interrupt();

}  // namespace bissl
