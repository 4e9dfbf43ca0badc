#include "store/store_entries.h"

#include "base/exception_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "store/stage_record.h"

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// The parts of a folder's name: "KEY.damaged-2" has the key KEY and the rest ".damaged-2".
struct EntryName {
  std::string key;
  std::string rest;

  explicit EntryName(const fs::path& folder) {
    const std::string name = folder.filename().string();
    key = name.substr(0, name.find('.'));
    rest = name.substr(key.size());
  }
};

/// What kind of entry a name is of; none for what is no stage. Whether somebody computes one that
/// was begun is not looked at.
std::optional<StoreEntry::State> state_in(const EntryName& name) {
  if (!is_stage_key(name.key)) {
    return std::nullopt;
  }
  if (name.rest.empty()) {
    return StoreEntry::State::finished;
  }
  if (name.rest == ".partial") {
    return StoreEntry::State::stale;
  }
  return name.rest.starts_with(".damaged") ? std::optional(StoreEntry::State::damaged)
                                           : std::nullopt;
}

/// The folders in the store, by name.
std::vector<fs::path> folders_in(const StageStore& store) {
  std::vector<fs::path> folders;
  try {
    for (const fs::directory_entry& item : fs::directory_iterator(store.root())) {
      if (item.is_directory()) {
        folders.push_back(item.path());
      }
    }
  } catch (const fs::filesystem_error& error) {
    fail_run("cannot list the store {}: {}", store.root().string(), exception_text(error));
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

StoreEntry read_store_entry(const StageStore& store, const fs::path& folder,
                            StoreEntry::State state) {
  StoreEntry entry;
  entry.key = EntryName(folder).key;
  entry.folder = folder;
  entry.state = state == StoreEntry::State::stale && store.is_running(entry.key)
                    ? StoreEntry::State::running
                    : state;
  std::error_code ignored;  // of what another process removes at this moment
  entry.changed = fs::last_write_time(folder, ignored);
  entry.bytes = bytes_in(folder);
  try {
    entry.description = read_stage_record(folder).description;
  } catch (const Error&) {
    // Not finished, or damaged.
  }
  return entry;
}

}  // namespace

uint64_t bytes_in(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (fs::recursive_directory_iterator walk(folder, ignored), end; walk != end;
       walk.increment(ignored)) {
    if (walk->is_regular_file(ignored)) {
      const uint64_t size = walk->file_size(ignored);
      bytes += ignored ? 0 : size;
    }
  }
  return bytes;
}

void each_entry(const StageStore& store, const std::function<void(StoreEntry entry)>& each) {
  for (const fs::path& folder : folders_in(store)) {
    if (const std::optional<StoreEntry::State> state = state_in(EntryName(folder))) {
      each(read_store_entry(store, folder, *state));
    }
  }
}

std::vector<std::string> finished_keys(const StageStore& store) {
  std::vector<std::string> keys;
  for (const fs::path& folder : folders_in(store)) {
    const EntryName name(folder);
    if (state_in(name) == StoreEntry::State::finished) {
      keys.push_back(name.key);
    }
  }
  return keys;
}

std::vector<fs::path> unfinished_removals(const StageStore& store) {
  std::vector<fs::path> found;
  for (const fs::path& folder : folders_in(store)) {
    if (is_temporary_name(folder.filename().string())) {
      found.push_back(folder);
    }
  }
  return found;
}

}  // namespace bissl::host
