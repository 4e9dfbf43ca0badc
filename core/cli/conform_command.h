#pragma once

#include "conformance/conform.h"

#include <ostream>

namespace bissl::host {

/// `bissl conform LIB.so`: prints the report, as JSON if asked for. Returns the program's exit
/// code: 0 when the library conforms, 1 when a check failed, 2 (an Error) when there is no such
/// file or a value is none of a component, 3 when nothing failed but a component could not be
/// tested.
int run_conform(const std::filesystem::path& library, const ConformanceOptions& options, bool json,
                std::ostream& out);

}  // namespace bissl::host
