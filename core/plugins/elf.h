#pragma once

#include <filesystem>

namespace bissl {

/// Throws a Refusal (step "open", code "not_a_library") unless `file` is a complete shared library
/// in ELF for the machine of this program. Reads headers only: the loader maps a file that was cut
/// short without complaint and the process dies of a bus error when it touches what is missing.
void check_is_library(const std::filesystem::path& file);

}  // namespace bissl
