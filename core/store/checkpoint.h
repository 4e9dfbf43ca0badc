#pragma once

#include "bissl/tensor_list.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>

namespace bissl::host {

/// Everything that a stage needs to continue as if it had never stopped.
struct Checkpoint {
  NamedTensors tensors;  ///< their order is kept
  /// Counters, positions, scalars. Reals come back with the same bits, NaN and infinities as such.
  nlohmann::json state;
};

/// The file of a stage's folder that holds its checkpoint: safetensors, with the state in the
/// metadata and a checksum over everything.
inline constexpr const char* checkpoint_file = "checkpoint.safetensors";

/// Replaces the folder's checkpoint. The old one stays in place until the new one is complete on
/// the disk, so a run that is killed at any moment finds one or the other. Error(run) when it
/// cannot be written or the state holds a text that is not UTF-8.
void save_checkpoint(const std::filesystem::path& folder, const Checkpoint& checkpoint);

/// The folder's checkpoint, with tensors on the CPU; none if there is none. A damaged one is
/// Error(input) that names the file, what is wrong with it and what to do.
std::optional<Checkpoint> load_checkpoint(const std::filesystem::path& folder);

/// Removes the checkpoint of a stage that has finished; nothing happens if there is none.
void remove_checkpoint(const std::filesystem::path& folder);

}  // namespace bissl::host
