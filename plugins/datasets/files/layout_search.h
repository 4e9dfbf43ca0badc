#pragma once

#include "layout.h"

#include <filesystem>
#include <string>

namespace bissl {

/// Where the content of the description is instead of `root`: a folder at most three above it or
/// one of the first 200 within it, as a `root` to be given; empty if it is in none of them.
std::string place_near(const LayoutDescription& description, const std::filesystem::path& root);

}  // namespace bissl
