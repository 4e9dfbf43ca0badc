#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

/// Throws a Refusal (step "open", code "not_a_library") unless `file` is a complete shared library
/// in ELF for the machine of this program. Reads headers only: the loader maps a file that was cut
/// short without complaint and the process dies of a bus error when it touches what is missing.
void check_is_library(const std::filesystem::path& file);

/// The names of the functions and objects that a library defines and shows to others, but for weak
/// ones (templates and inline functions of the standard library). Names are as the linker has them.
/// `file` must have passed check_is_library; throws Error(ErrorKind::input) if it cannot be read.
std::vector<std::string> exported_symbols(const std::filesystem::path& file);

/// The libraries that a library is linked with itself, by the names under which the loader looks
/// for them ("libc10.so.1.13"). Reads headers only. `file` must have passed check_is_library; none
/// where it has no table of sections.
std::vector<std::string> needed_libraries(const std::filesystem::path& file);

}  // namespace bissl::host
