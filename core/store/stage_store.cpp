#include "store/stage_store.h"

#include "bissl/error.h"
#include "store/atomic_file.h"
#include "store/checkpoint.h"
#include "store/stage_record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

namespace bissl {
namespace {

namespace fs = std::filesystem;

constexpr const char* store_file = "store.json";

void check_key(const std::string& key) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (key.size() != 32 || !std::all_of(key.begin(), key.end(), is_digit)) {
    fail_input("\"{}\" is not the key of a stage: that has 32 lower-case hexadecimal digits", key);
  }
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

/// One attempt at the lock: taken; not taken because another has it (errno EWOULDBLOCK); or failed
/// (another errno). The file is removed by whoever held it, so after locking it must still be the
/// one with that name: otherwise somebody else may hold its successor.
FileDescriptor try_lock(const fs::path& file) {
  for (;;) {
    FileDescriptor open(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (!open.valid()) {
      return open;
    }
    if (flock(open.get(), LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      open.close();
      errno = error;
      return open;
    }
    struct stat locked {};
    struct stat named {};
    if (fstat(open.get(), &locked) == 0 && stat(file.c_str(), &named) == 0 &&
        locked.st_ino == named.st_ino && locked.st_dev == named.st_dev) {
      return open;
    }
  }
}

/// For the text that those who wait show; nothing depends on it.
void write_owner(const FileDescriptor& lock) {
  const std::string owner = fmt::format("process {}", getpid());
  if (ftruncate(lock.get(), 0) == 0) {
    [[maybe_unused]] const ssize_t count = pwrite(lock.get(), owner.data(), owner.size(), 0);
  }
}

std::string read_owner(const fs::path& lock_file) {
  try {
    const std::string owner = read_whole(lock_file, 100);
    return owner.empty() ? "another process" : owner;
  } catch (const Error&) {
    return "another process";
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
  sync_folder(partial);
  rename_path(partial, finished);
  sync_folder(finished.parent_path());
}

}  // namespace

StageWork& StageWork::operator=(StageWork&& other) noexcept {
  if (this != &other) {
    unlock();
    key_ = std::move(other.key_);
    description_ = std::move(other.description_);
    folder_ = std::move(other.folder_);
    final_folder_ = std::move(other.final_folder_);
    lock_file_ = std::move(other.lock_file_);
    lock_ = std::move(other.lock_);
    finished_ = other.finished_;
  }
  return *this;
}

StageWork::~StageWork() { unlock(); }

void StageWork::unlock() {
  if (lock_.valid()) {
    ::unlink(lock_file_.c_str());  // before the lock goes: see try_lock
    lock_.close();
  }
}

void StageWork::publish() {
  if (finished_) {
    return;
  }
  try {
    remove_temporary_files(folder_);
    write_stage_record(folder_, {key_, description_, take_inventory(folder_)});
    finish_publishing(folder_, final_folder_);
  } catch (const fs::filesystem_error& error) {
    fail_run("cannot put the finished stage into the store: {}", error.what());
  }
  folder_ = final_folder_;
  finished_ = true;
  unlock();
}

StageStore::StageStore(fs::path root, StoreListener listener)
    : root_(std::move(root)), listener_(std::move(listener)) {
  make_folder(root_);
  if (!is_there(root_ / store_file)) {
    write_file_atomically(root_ / store_file, fmt::format("{{\"format\": {}}}\n", store_format));
  }
  check_format();
}

void StageStore::check_format() {
  const fs::path file = root_ / store_file;
  const std::string text = read_whole(file, 1 << 20);
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
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
        root_.string(), json["format"].dump(), store_format);
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

std::optional<fs::path> StageStore::find(const std::string& key) {
  check_key(key);
  if (!is_there(stage_folder(key))) {
    return std::nullopt;
  }
  const std::optional<std::string> damage = damage_at_a_glance(stage_folder(key), key);
  if (!damage) {
    return stage_folder(key);
  }
  // Under the lock, so as not to move away what another process has just put in its place.
  StageWork lock;
  lock.lock_file_ = lock_file(key);
  lock.lock_ = try_lock(lock.lock_file_);
  if (!lock.lock_.valid()) {
    warn(fmt::format("the finished stage {} is damaged ({}) and will not be used",
                     stage_folder(key).string(), *damage));
    return std::nullopt;
  }
  if (is_finished(key)) {
    return stage_folder(key);
  }
  return std::nullopt;
}

std::optional<std::string> StageStore::verify(const std::string& key) const {
  check_key(key);
  return damage_in_depth(stage_folder(key), key);
}

/// Whether the stage is there and whole; moves it aside if it is not whole. Under the lock.
bool StageStore::is_finished(const std::string& key) {
  if (!is_there(stage_folder(key))) {
    return false;
  }
  const std::optional<std::string> damage = damage_at_a_glance(stage_folder(key), key);
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
  warn(
      fmt::format("the finished stage {} is damaged ({}). It will be computed again; what was "
                  "found is now {}",
                  stage_folder(key).string(), damage, aside.string()));
}

FileDescriptor StageStore::lock(const std::string& key) {
  bool announced = false;
  for (;;) {
    FileDescriptor taken = try_lock(lock_file(key));
    if (taken.valid()) {
      write_owner(taken);
      return taken;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) {
      fail_write(lock_file(key), errno);
    }
    if (!announced && listener_.waiting) {
      listener_.waiting(fmt::format("waiting for the stage {}, which {} is computing", key,
                                    read_owner(lock_file(key))));
    }
    announced = true;
    if (listener_.while_waiting) {
      listener_.while_waiting();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

StageWork StageStore::begin(const std::string& key, const nlohmann::json& description) {
  check_key(key);
  StageWork work;
  work.key_ = key;
  work.description_ = description;
  work.final_folder_ = stage_folder(key);
  work.folder_ = partial_folder(key);
  work.lock_file_ = lock_file(key);
  work.lock_ = lock(key);

  bool finished = is_finished(key);
  if (!finished) {
    make_folder(work.folder_);
    try {
      remove_temporary_files(work.folder_);
    } catch (const fs::filesystem_error& error) {
      fail_run("cannot clear the stage's folder: {}", error.what());
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
    work.unlock();
  }
  return work;
}

}  // namespace bissl
