#pragma once

#include "bissl/abi.h"

#include <filesystem>

namespace bissl::host {

/// Opens the library with all symbols bound at once and local scope, and returns its entry
/// function. The library then stays for the life of the process, whether it is accepted or not:
/// LibTorch keeps pointers into code that registered types or operators, and static objects and
/// thread-local destructors of the library may run until the very end.
///
/// Throws a Refusal: step "open", code "mismatch" for a library that is linked with another
/// LibTorch than the process has, which is not opened, or code "open_failed" with the loader's
/// text; or step "entry", code "no_entry". Runs initialisers of static objects, and whatever those
/// do; an exception of theirs ends the process, since it cannot pass through the loader.
BisslEntryFunction open_library(const std::filesystem::path& canonical);

}  // namespace bissl::host
