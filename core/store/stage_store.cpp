#include "store/stage_store.h"

#include "base/atomic_file.h"
#include "base/exception_text.h"
#include "base/json_file.h"
#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "store/checkpoint.h"
#include "store/stage_record.h"
#include "store/store_entries.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr const char* store_file = "store.json";

void check_key(const std::string& key) {
  if (!is_stage_key(key)) {
    fail_input("\"{}\" is not the key of a stage: that has 32 lower-case hexadecimal digits", key);
  }
}

void remove_temporary_files(const fs::path& folder) {
  std::vector<fs::path> left_behind;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && is_temporary_name(entry.path().filename().string())) {
      left_behind.push_back(entry.path());
    }
  }
  for (const fs::path& file : left_behind) {
    fs::remove(file);
  }
}

/// The last steps of publishing, once the record is in place. Can be repeated from any point.
void finish_publishing(const fs::path& partial, const fs::path& finished) {
  remove_checkpoint(partial);
  ::unlink((partial / work_record_file).c_str());
  sync_folder(partial);
  rename_path(partial, finished);
  sync_folder(finished.parent_path());
}

}  // namespace

bool is_stage_key(const std::string& text) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return text.size() == 32 && std::all_of(text.begin(), text.end(), is_digit);
}

fs::path store_folder(const fs::path& out) { return out / ".store"; }

void StageWork::confirm() const {
  if (claim_) {
    claim_->confirm();
  }
}

void StageWork::publish() {
  if (finished_) {
    return;
  }
  confirm();
  try {
    remove_temporary_files(folder_);
    write_stage_record(folder_, {key_, description_, take_inventory(folder_)});
    finish_publishing(folder_, final_folder_);
  } catch (const fs::filesystem_error& error) {
    fail_run("cannot put the finished stage into the store: {}", exception_text(error));
  }
  folder_ = final_folder_;
  finished_ = true;
  claim_.reset();
}

const char* to_string(StoreEntry::State state) {
  switch (state) {
    case StoreEntry::State::finished:
      return "finished";
    case StoreEntry::State::running:
      return "running";
    case StoreEntry::State::stale:
      return "stale";
    case StoreEntry::State::damaged:
      return "damaged";
  }
  return "";
}

StageStore::StageStore(fs::path root, StoreListener listener, ClaimPolicy policy)
    : root_(std::move(root)), listener_(std::move(listener)), policy_(std::move(policy)) {
  make_folder(root_);
  if (!is_there(root_ / store_file)) {
    write_file_atomically(root_ / store_file, fmt::format("{{\"format\": {}}}\n", store_format));
  }
  check_format();
}

void StageStore::check_format() {
  const fs::path file = root_ / store_file;
  const nlohmann::json json = parse_json_file(file);
  if (!json.is_object() || !json.contains("format") || !json["format"].is_number_integer()) {
    fail_input(
        "{} is not what this program writes: {{\"format\": {}}} was expected. If the folder "
        "holds no store, choose another one",
        file.string(), store_format);
  }
  if (json["format"] != store_format) {
    fail_input(
        "the store {} has the format version {}, and this program reads and writes {}. "
        "Choose another folder for the store, or use the program that made it",
        root_.string(), json_text(json["format"]), store_format);
  }
}

fs::path StageStore::stage_folder(const std::string& key) const { return root_ / key; }
fs::path StageStore::partial_folder(const std::string& key) const {
  return root_ / (key + ".partial");
}
fs::path StageStore::lock_file(const std::string& key) const { return root_ / (key + ".lock"); }

void StageStore::warn(const std::string& text) const {
  if (listener_.warn) {
    listener_.warn(text);
  }
}

std::optional<Claim> StageStore::try_claim(const std::string& key) {
  return try_claim(key, policy_);
}

std::optional<Claim> StageStore::try_claim(const std::string& key, const ClaimPolicy& policy) {
  return Claim::try_take(lock_file(key), watches_[key], policy);
}

/// What is wrong with the finished stage; reads its contents the first time.
std::optional<std::string> StageStore::damage_of(const std::string& key) {
  if (verified_.count(key) != 0) {
    return damage_at_a_glance(stage_folder(key), key);
  }
  std::optional<std::string> damage = damage_in_depth(stage_folder(key), key);
  if (!damage) {
    verified_.insert(key);
  }
  return damage;
}

void StageStore::clear_claim(const std::string& key) {
  if (!is_there(lock_file(key))) {
    return;
  }
  try {
    try_claim(key);  // and give it back, if nobody has it
  } catch (const Error&) {
    // The store cannot be written.
  }
}

std::optional<fs::path> StageStore::find(const std::string& key) {
  check_key(key);
  if (!is_there(stage_folder(key))) {
    return std::nullopt;
  }
  const std::optional<std::string> damage = damage_of(key);
  if (!damage) {
    clear_claim(key);
    return stage_folder(key);
  }
  // Under the claim, so as not to move away what another process has just put in its place.
  std::optional<Claim> claim;
  try {
    claim = try_claim(key);
  } catch (const Error&) {
    // The store cannot be written.
  }
  if (!claim) {
    warn(fmt::format("the finished stage {} is damaged ({}) and will not be used",
                     stage_folder(key).string(), *damage));
    return std::nullopt;
  }
  if (is_finished(key)) {
    return stage_folder(key);
  }
  return std::nullopt;
}

bool StageStore::contains(const std::string& key) const {
  check_key(key);
  return is_there(stage_folder(key)) && !damage_at_a_glance(stage_folder(key), key);
}

bool StageStore::is_running(const std::string& key) const {
  check_key(key);
  return is_claimed(lock_file(key), policy_);
}

bool StageStore::is_begun(const std::string& key) const {
  check_key(key);
  return is_there(partial_folder(key));
}

std::optional<std::string> StageStore::verify(const std::string& key) const {
  check_key(key);
  return damage_in_depth(stage_folder(key), key);
}

/// Whether the stage is there and whole; moves it aside if it is not whole. Under the claim.
bool StageStore::is_finished(const std::string& key) {
  if (!is_there(stage_folder(key))) {
    return false;
  }
  const std::optional<std::string> damage = damage_of(key);
  if (damage) {
    set_aside(key, *damage);
  }
  return !damage;
}

void StageStore::set_aside(const std::string& key, const std::string& damage) {
  fs::path aside = root_ / (key + ".damaged");
  for (int number = 2; is_there(aside); ++number) {
    aside = root_ / fmt::format("{}.damaged-{}", key, number);
  }
  rename_path(stage_folder(key), aside);
  verified_.erase(key);
  warn(
      fmt::format("the finished stage {} is damaged ({}). It will be computed again; what was "
                  "found is now {}",
                  stage_folder(key).string(), damage, aside.string()));
}

StageWork StageStore::begin(const std::string& key, const nlohmann::json& description) {
  check_key(key);
  bool announced = false;
  for (;;) {
    if (std::optional<Claim> claim = try_claim(key)) {
      return begin_claimed(key, description, std::move(*claim));
    }
    if (!announced && listener_.waiting) {
      listener_.waiting(fmt::format("waiting for the stage {}, which {} is computing", key,
                                    claim_owner(lock_file(key), policy_)));
    }
    announced = true;
    if (listener_.while_waiting) {
      listener_.while_waiting();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

std::optional<StageWork> StageStore::try_begin(const std::string& key,
                                               const nlohmann::json& description) {
  check_key(key);
  std::optional<Claim> claim = try_claim(key);
  if (!claim) {
    return std::nullopt;
  }
  return begin_claimed(key, description, std::move(*claim));
}

StageWork StageStore::begin_claimed(const std::string& key, const nlohmann::json& description,
                                    Claim claim) {
  StageWork work;
  work.key_ = key;
  work.description_ = description;
  work.final_folder_ = stage_folder(key);
  work.folder_ = partial_folder(key);
  work.claim_ = std::move(claim);

  bool finished = is_finished(key);
  if (!finished) {
    make_folder(work.folder_);
    try {
      remove_temporary_files(work.folder_);
    } catch (const fs::filesystem_error& error) {
      fail_run("cannot clear the stage's folder: {}", exception_text(error));
    }
    if (is_there(work.folder_ / stage_record_file)) {
      // A process was killed amid publish().
      if (!damage_at_a_glance(work.folder_, key)) {
        finish_publishing(work.folder_, work.final_folder_);
        finished = true;
      } else {
        ::unlink((work.folder_ / stage_record_file).c_str());
      }
    }
  }
  if (finished) {
    work.folder_ = work.final_folder_;
    work.finished_ = true;
    work.claim_.reset();
  }
  return work;
}

std::vector<StoreEntry> StageStore::entries() const {
  std::vector<StoreEntry> found;
  each_entry(*this, [&](StoreEntry entry) { found.push_back(std::move(entry)); });
  return found;
}

bool StageStore::remove(const StoreEntry& entry) {
  check_key(entry.key);
  // Whoever has a claim looks whether it is lost once half a lease has passed without renewal.
  ClaimPolicy policy = policy_;
  policy.lease /= 2;
  const std::optional<Claim> claim = try_claim(entry.key, policy);
  if (!claim || !is_there(entry.folder)) {
    return false;
  }
  // Renamed first: what is half removed must not pass for a stage.
  const fs::path doomed = temporary_path(root_);
  rename_path(entry.folder, doomed);
  verified_.erase(entry.key);
  try {
    fs::remove_all(doomed);
  } catch (const fs::filesystem_error& error) {
    fail_run("cannot remove {}: {}", doomed.string(), exception_text(error));
  }
  return true;
}

std::vector<StoreEntry> StageStore::remove(const std::vector<StoreEntry>& entries) {
  const auto end = std::chrono::steady_clock::now() + policy_.lease * 3 / 4;
  std::vector<bool> removed(entries.size(), false);
  for (bool announced = false;; announced = true) {
    bool watching = false;
    for (size_t i = 0; i < entries.size(); ++i) {
      removed[i] = removed[i] || remove(entries[i]);
      watching = watching || (!removed[i] && is_there(entries[i].folder) &&
                              is_there(lock_file(entries[i].key)) && !is_running(entries[i].key));
    }
    if (!watching || std::chrono::steady_clock::now() > end) {
      break;
    }
    if (!announced && listener_.waiting) {
      listener_.waiting(
          fmt::format("watching for {:.3g} seconds whether another machine renews its claims",
                      std::chrono::duration<double>(policy_.lease / 2).count()));
    }
    std::this_thread::sleep_for(std::min(policy_.lease / 20, std::chrono::milliseconds(500)));
  }
  std::vector<StoreEntry> gone;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (removed[i]) {
      gone.push_back(entries[i]);
    }
  }
  return gone;
}

}  // namespace bissl::host
