#pragma once

#include "store/claim.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {

/// Whether a text has the form of a stage's key: 32 lower-case hexadecimal digits.
bool is_stage_key(const std::string& text);

/// The folder of the store below `out`, the folder that holds runs and sweeps.
std::filesystem::path store_folder(const std::filesystem::path& out);

/// What a store has to say while it works. Each may be empty.
struct StoreListener {
  /// A sentence about something that was put right, such as a damaged stage that was moved aside.
  std::function<void(const std::string&)> warn;
  /// A sentence, once for each wait for another process.
  std::function<void(const std::string&)> waiting;
  /// Called about ten times a second during a wait. May throw to give up waiting.
  std::function<void()> while_waiting;
};

/// The right to compute one stage: while the object lives, other processes wait for it. The folder
/// stays when it goes without publish(), with the checkpoint from which the next one continues.
class StageWork {
 public:
  /// Whether there is nothing to do: another process finished the stage in the meantime.
  bool finished() const { return finished_; }
  /// Where to write the stage's files; the finished stage's folder when finished().
  const std::filesystem::path& folder() const { return folder_; }

  /// Throws Error(run) if the right was lost to another machine: see Claim::confirm.
  void confirm() const;

  /// Declares the stage finished with the files that are in the folder: records their sizes and
  /// checksums, makes all durable, removes the checkpoint, gives the folder its final name
  /// (folder() from now on) and lets others at it. Error(run) when that fails; calling it again is
  /// allowed.
  void publish();

 private:
  friend class StageStore;
  StageWork() = default;

  std::string key_;
  nlohmann::json description_;
  std::filesystem::path folder_;
  std::filesystem::path final_folder_;
  std::optional<Claim> claim_;  ///< while this object has the right
  bool finished_ = false;
};

/// One stage of a store, as StageStore::entries lists it.
struct StoreEntry {
  enum class State {
    finished,
    running,  ///< somebody computes it
    stale,    ///< begun, and no process computes it; the next one that needs it continues
    damaged   ///< moved aside
  };

  std::string key;
  State state = State::finished;
  std::filesystem::path folder;
  nlohmann::json description;  ///< what the key is a hash of; null where the record is not readable
  uint64_t bytes = 0;
  std::filesystem::file_time_type changed;
};

const char* to_string(StoreEntry::State state);

/// Finished stages, each in a folder that is named after its key (32 lower-case hexadecimal
/// digits):
///
///     store.json        the layout's version
///     <key>/            a finished stage: its files and stage.json with their checksums
///     <key>.partial/    a stage that is being computed, or was interrupted
///     <key>.lock        the claim of the process that computes it; gone when nobody does
///     <key>.damaged/    a finished stage in which something was found wrong (-2, -3, …)
///
/// Several processes may use one store at a time, also on several machines that share a file
/// system: see Claim. For one thread of each process.
/// What cannot be written is Error(run) with the file and the reason; a key of another form is
/// Error(input).
class StageStore {
 public:
  /// Makes the store if there is none. A store of another version is an Error(input) that names
  /// both; a folder that cannot be written serves for find() as long as there is a store in it.
  explicit StageStore(std::filesystem::path root, StoreListener listener = {},
                      ClaimPolicy policy = {});

  const std::filesystem::path& root() const { return root_; }

  /// The folder of a finished stage, if there is one and all of its content is what was published:
  /// checksums are compared the first time that this object is asked for it, sizes later. A damaged
  /// one counts as missing: it is reported and, where the store can be written and nobody else is
  /// at it, moved aside.
  std::optional<std::filesystem::path> find(const std::string& key);

  /// What find() would see, without reading contents, reporting or moving anything.
  bool contains(const std::string& key) const;
  /// Whether somebody computes the stage.
  bool is_running(const std::string& key) const;
  /// Whether the stage was begun and is not finished.
  bool is_begun(const std::string& key) const;

  /// What is wrong with a finished stage when all of its content is read; none if nothing.
  std::optional<std::string> verify(const std::string& key) const;

  /// Everything that is in the store, by key. Error(run) if the folder cannot be listed.
  std::vector<StoreEntry> entries() const;

  /// Removes an entry, unless somebody computes the stage or has changed its state
  /// since; whether it did. A claim of another machine that looks abandoned has to be watched for
  /// half a lease, in which it would be renewed three times: false at first, to be asked again.
  bool remove(const StoreEntry& entry);
  /// Removes all of them as remove() does, and watches for those that it has to: reports the wait,
  /// once, to the listener. Returns those that are removed.
  std::vector<StoreEntry> remove(const std::vector<StoreEntry>& entries);

  /// Takes the right to compute a stage, waiting for whoever has it. To be asked for one key at a
  /// time: a second call for a key that this process holds already waits for ever. The folder is
  /// that of an earlier attempt if there was one, without the temporary files of a killed process.
  StageWork begin(const std::string& key, const nlohmann::json& description);

  /// The same without waiting: none if somebody else computes it.
  std::optional<StageWork> try_begin(const std::string& key, const nlohmann::json& description);

 private:
  std::filesystem::path stage_folder(const std::string& key) const;
  std::filesystem::path partial_folder(const std::string& key) const;
  std::filesystem::path lock_file(const std::string& key) const;
  void check_format();
  std::optional<Claim> try_claim(const std::string& key);
  std::optional<Claim> try_claim(const std::string& key, const ClaimPolicy& policy);
  StageWork begin_claimed(const std::string& key, const nlohmann::json& description, Claim claim);
  /// Removes the claim of a process that was killed after it had finished the stage.
  void clear_claim(const std::string& key);
  std::optional<std::string> damage_of(const std::string& key);
  bool is_finished(const std::string& key);
  void set_aside(const std::string& key, const std::string& damage);
  void warn(const std::string& text) const;

  std::filesystem::path root_;
  StoreListener listener_;
  ClaimPolicy policy_;
  std::map<std::string, ClaimWatch> watches_;  ///< by key
  std::set<std::string> verified_;             ///< keys whose content was read and found whole
};

}  // namespace bissl::host
