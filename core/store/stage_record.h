#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace bissl::host {

/// The version of the store's layout and of `stage.json`; another one cannot be read.
inline constexpr int store_format = 1;

/// What `stage.json` says about a finished stage.
struct StageRecord {
  struct File {
    uint64_t size = 0;
    std::string checksum;  ///< Hasher::hex of the content
  };
  std::string key;
  nlohmann::json description;  ///< what the key is a hash of, for people and for comparing keys
  std::map<std::string, File> files;  ///< by path relative to the stage's folder
};

inline constexpr const char* stage_record_file = "stage.json";
/// What computing a stage took so far. Like the checkpoint it is there until the stage is finished.
inline constexpr const char* work_record_file = "work.json";

/// Takes down all files of the folder and of those in it, but for the checkpoint, the records of
/// the work and of the stage, and temporary files, and makes their content durable. Error(run) for
/// symbolic links and devices, which a store cannot vouch for.
std::map<std::string, StageRecord::File> take_inventory(const std::filesystem::path& folder);

void write_stage_record(const std::filesystem::path& folder, const StageRecord& record);

/// Throws Error(input) that says, without the file's name, why the record cannot be used.
StageRecord read_stage_record(const std::filesystem::path& folder);

/// What is wrong with a finished stage: the record is missing or unreadable, is of another key, or
/// a file is missing or of another size. None if all is well. Reads no content.
std::optional<std::string> damage_at_a_glance(const std::filesystem::path& folder,
                                              const std::string& key);
/// The same with all contents read and compared with their checksums.
std::optional<std::string> damage_in_depth(const std::filesystem::path& folder,
                                           const std::string& key);

}  // namespace bissl::host
