#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bissl::host::test {

/// A call of the built program.
struct ProgramCall {
  std::vector<std::string> arguments;  ///< without the program's own name
  /// Variables besides those of this process.
  std::map<std::string, std::string> environment{};
  std::filesystem::path out{};     ///< where its standard output goes; empty: it is closed
  std::filesystem::path err{};     ///< where its standard error goes; empty: it is closed
  std::filesystem::path folder{};  ///< where it is called; empty: in the folder of this process
};

/// Starts the call in a child of this process and does not wait for it; the child's number. Where
/// the call does the same in it, the child is a copy of a program that has started before, which
/// spares the time in which the libraries are loaded. With a variable BISSL_START_ANEW it never is.
/// Throws std::runtime_error if there can be no child.
pid_t start_program(const ProgramCall& call);

/// The same, always in a process that loads its libraries.
pid_t start_program_anew(const ProgramCall& call);

/// Whether start_program copies a program that has started for this call.
bool is_ready_for(const ProgramCall& call);

}  // namespace bissl::host::test
