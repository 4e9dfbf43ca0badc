#pragma once

#include "store/stage_store.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace bissl::host {

/// Calls `each` with all that is in the store, one entry at a time in the order of their keys, so
/// that a store may have more of them than memory holds descriptions. Error(run) if the folder
/// cannot be listed.
void each_entry(const StageStore& store, const std::function<void(StoreEntry entry)>& each);

/// The keys of the finished stages, ascending, by the names of their folders alone. Error(run) if
/// the folder cannot be listed.
std::vector<std::string> finished_keys(const StageStore& store);

/// What removals were emptying when they were killed: folders that are no entries any more, which
/// nobody reads. Error(run) if the store's folder cannot be listed.
std::vector<std::filesystem::path> unfinished_removals(const StageStore& store);

/// Bytes of the files in a folder and in those in it; what cannot be read counts nothing.
uint64_t bytes_in(const std::filesystem::path& folder);

}  // namespace bissl::host
