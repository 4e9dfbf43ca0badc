#pragma once

#include <exception>
#include <string>

namespace bissl {

/// What an exception says, and where it comes from a limit of the process (memory, threads,
/// processes, open files): which limit, its value, and what to do. Others give their own text.
std::string explain_limits(const std::exception& exception);

/// The same for an errno value; empty where no limit is behind it. Starts with ". ", to follow the
/// system's own text.
std::string limit_advice(int error);

}  // namespace bissl
