#pragma once

#include "bissl/value.h"

#include <fmt/format.h>

#include <string>

namespace bissl::host {

/// Why a text can be no path; empty where it can. TOML's texts may hold the character NUL, and the
/// system would take what comes before it for the whole path.
inline std::string path_fault(const std::string& text) {
  return text.find('\0') == std::string::npos
             ? ""
             : fmt::format("{} holds a NUL character, which no path can hold",
                           to_toml(Value(text)));
}

}  // namespace bissl::host
