#include "bissl/error.h"
#include "cli/command_line.h"
#include "cli/exit_codes.h"
#include "cli/standard_streams.h"
#include "telemetry/interrupt.h"
#include "telemetry/limits.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace {

/// Makes the call that the arguments ask for; its exit code. Prints what is thrown.
int call(int count, char** arguments) {
  try {
    return bissl::host::run_command_line(count, arguments);
  } catch (const bissl::host::Interrupted&) {
    std::cerr << bissl::host::interrupt_cause()
              << "; a checkpoint is written, and the same call continues from it\n";
    return bissl::host::exit_interrupted;
  } catch (const bissl::Error& error) {
    std::cerr << "error: " << bissl::host::explain_limits(error) << '\n';
    return error.kind() == bissl::ErrorKind::input ? bissl::host::exit_wrong_input
                                                   : bissl::host::exit_run_failed;
  } catch (const std::exception& exception) {
    std::cerr << "error: " << bissl::host::explain_limits(exception) << '\n';
    return bissl::host::exit_run_failed;
  }
}

/// Ends the process without the destructors of static objects: those of LibTorch take each of its
/// operators back, which is a tenth of a short call.
[[noreturn]] void end(int code) {
  std::cout.flush();
  std::cerr.flush();
  std::fflush(nullptr);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  std::exit(code);  // reports leaks
#else
  std::_Exit(code);
#endif
}

}  // namespace

int main(int count, char** arguments) {
  bissl::host::guard_standard_streams();
  const int code = call(count, arguments);
  // Here and nowhere else, so that no call can forget it.
  if (const auto cause = bissl::host::lost_output()) {
    std::cerr << "error: cannot write standard output: " << *cause
              << ". What the call has computed and written to files is kept; what it prints is "
                 "incomplete\n";
    end(code == bissl::host::exit_done ? bissl::host::exit_run_failed : code);
  }
  end(code);
}
