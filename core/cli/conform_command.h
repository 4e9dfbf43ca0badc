#pragma once

#include "conformance/conform.h"

#include <ostream>

namespace bissl {

/// `bissl conform LIB.so`: prints the report, as JSON if asked for. Returns the program's exit
/// code: 0 when nothing failed, 1 when a check did, 2 when there is no such file.
int run_conform(const std::filesystem::path& library, const ConformanceOptions& options, bool json,
                std::ostream& out);

}  // namespace bissl
