#pragma once

#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>

namespace bissl::host {

/// The files below a folder that a stage continues from, checkpoints and results of finished
/// repeats: their sizes in bytes by their paths from there. An empty object for a folder that
/// cannot be read.
nlohmann::json progress_in(const std::filesystem::path& folder);

/// A network file system may show a file so much later than another machine has written it: NFS
/// keeps what it has seen of a folder for 60 seconds.
inline constexpr std::chrono::milliseconds late_files_limit = std::chrono::seconds(90);

/// Copies what process 0 continues from, the folder `from`, into the folder `to`. `wanted` is what
/// process 0 sees there (progress_in): until this process sees the same it waits, up to `limit`,
/// since with less it would begin another training than the others. Throws Error(run) where it does
/// not come or cannot be copied, and Interrupted.
void copy_progress(const std::filesystem::path& from, const std::filesystem::path& to,
                   const nlohmann::json& wanted,
                   std::chrono::milliseconds limit = late_files_limit);

}  // namespace bissl::host
