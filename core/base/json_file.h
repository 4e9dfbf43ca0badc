#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace bissl::host {

/// The largest JSON file that is read. The plan of a sweep with a million stages has some hundred
/// megabytes; a larger file is not this program's.
inline constexpr uint64_t most_json_bytes = uint64_t{1} << 30;

/// What a JSON file of this program holds. Throws Error(input), which names the file, where it
/// cannot be read, has more than most_json_bytes, or holds no JSON.
nlohmann::json read_json_file(const std::filesystem::path& file);

/// The same for callers with words of their own for files that hold no JSON: what comes back is
/// then discarded (is_discarded()), and so neither an object nor anything else.
nlohmann::json parse_json_file(const std::filesystem::path& file);

/// An object that other processes write: nothing where there is no file, or none that can be read
/// at this moment, or no object in it.
std::optional<nlohmann::json> read_json_if_there(const std::filesystem::path& file);

/// The text at a key of an object; empty where there is none.
std::string text_at(const nlohmann::json& object, const char* key);

}  // namespace bissl::host
