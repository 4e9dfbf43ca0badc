#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>

namespace bissl::host {

/// What a JSON file of this program holds. Throws Error(input), which names the file, if it holds
/// no JSON or has more than `most_bytes`.
nlohmann::json read_json_file(const std::filesystem::path& file, uint64_t most_bytes);

}  // namespace bissl::host
