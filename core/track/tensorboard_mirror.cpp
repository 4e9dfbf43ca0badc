#include "track/tensorboard_mirror.h"

#include "base/atomic_file.h"
#include "bissl/error.h"
#include "telemetry/event_reader.h"
#include "track/tensorboard_format.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <vector>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr const char* prefix = "events.out.tfevents.";
constexpr const char* mark = ".bissl.";
constexpr uint64_t most_bytes = uint64_t{1} << 34;

/// Seconds since 1970 of a file's last change; 0 if it is not there.
double change_of(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    return 0;
  }
  return static_cast<double>(status.st_mtim.tv_sec) +
         static_cast<double>(status.st_mtim.tv_nsec) * 1e-9;
}

bool is_ours(const std::string& name) {
  return name.starts_with(prefix) && name.find(mark) != std::string::npos;
}

int64_t number_in(const std::string& text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void remove_file(const fs::path& file) {
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
    fail_write(file, errno);
  }
}

}  // namespace

TensorboardMirror::TensorboardMirror(fs::path log, fs::path folder, std::string key)
    : log_(std::move(log)), folder_(std::move(folder)), key_(std::move(key)) {}

fs::path TensorboardMirror::name_of(int64_t second, int64_t number) const {
  return folder_ / fmt::format("{}{:010}{}{}.{:03}", prefix, second, mark, key_, number);
}

/// Takes the last file of this key; removes the others.
bool TensorboardMirror::find_file() {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (fs::directory_iterator item(folder_, ignored), end; item != end; item.increment(ignored)) {
    if (is_ours(item->path().filename().string())) {
      files.push_back(item->path());
    }
  }
  std::sort(files.begin(), files.end());
  file_.clear();
  for (const fs::path& file : files) {
    if (file.filename().string().find(mark + key_ + ".") != std::string::npos) {
      file_ = file;
    }
  }
  for (const fs::path& file : files) {
    if (file != file_) {
      remove_file(file);
    }
  }
  return !file_.empty();
}

/// Finds out what the file holds, and takes away what a kill left at its end.
void TensorboardMirror::look_into_file() {
  const RecordScan scan = scan_records(read_whole(file_, most_bytes));
  size_ = scan.end;
  if (::truncate(file_.c_str(), static_cast<off_t>(size_)) != 0) {
    fail_write(file_, errno);
  }
  written_ = std::count_if(scan.records.begin(), scan.records.end(),
                           [](const RecordScan::Record& record) { return record.has_summary; });
  known_ = true;
  if (scan.records.empty()) {
    append(tf_record(version_event(change_of(log_))));
  }
}

void TensorboardMirror::append(const std::string& records) {
  if (records.empty()) {
    return;
  }
  const FileDescriptor open(::open(file_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!open.valid()) {
    fail_write(file_, errno);
  }
  try {
    write_all(open, records.data(), records.size(), file_);
  } catch (const Error&) {
    [[maybe_unused]] const int ignored = ftruncate(open.get(), static_cast<off_t>(size_));
    throw;
  }
  size_ += records.size();
}

/// Puts a file with the first `events` events of the present one in its place.
void TensorboardMirror::drop_records_beyond(int64_t events) {
  const std::string all = read_whole(file_, most_bytes);
  const double time = change_of(log_);
  std::string kept = tf_record(version_event(time)) + tf_record(start_event(time, 0));
  const RecordScan scan = scan_records(all);
  int64_t left = events;
  for (size_t i = 0; i < scan.records.size() && left > 0; ++i) {
    const uint64_t end = i + 1 < scan.records.size() ? scan.records[i + 1].begin : scan.end;
    if (scan.records[i].has_summary) {
      kept.append(all, scan.records[i].begin, end - scan.records[i].begin);
      --left;
    }
  }
  const fs::path old = file_;
  const std::string name = old.filename().string();
  const int64_t second = number_in(name.substr(std::string(prefix).size()));
  const int64_t number = number_in(name.substr(name.rfind('.') + 1));
  file_ = name_of(second, number + 1);
  write_file_atomically(file_, kept);
  remove_file(old);
  look_into_file();
}

int64_t TensorboardMirror::update() {
  std::error_code ignored;
  if (!fs::exists(log_, ignored)) {
    return written_;
  }
  if (!known_) {
    if (!find_file()) {
      make_folder(folder_);
      file_ = name_of(static_cast<int64_t>(change_of(log_)), 0);
      write_file_atomically(file_, tf_record(version_event(change_of(log_))));
    }
    look_into_file();
  }
  const double time = change_of(log_);
  for (bool more = true; more;) {
    const EventPart part = read_events_if_there(log_, position_);
    read_ = part.restarted ? 0 : read_;
    std::string records;
    int64_t added = 0;
    for (const EventNumbers& event : part.events) {
      if (++read_ > written_ + added) {
        records += tf_record(scalars_event(time, event.step, event.values, event.histograms));
        ++added;
      }
    }
    append(records);
    written_ += added;
    position_ = part.position;
    more = part.more;
  }
  if (read_ < written_) {
    drop_records_beyond(read_);
  }
  return written_;
}

}  // namespace bissl::host
