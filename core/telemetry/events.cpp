#include "telemetry/events.h"

#include "base/json_text.h"
#include "bissl/error.h"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace bissl::host {
EventLog::EventLog(std::filesystem::path file, uint64_t position) : file_(std::move(file)) {
  open_ = FileDescriptor(::open(file_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (!open_.valid()) {
    fail_write(file_, errno);
  }
  size_ = std::min(position, size_of(open_, file_));
  if (ftruncate(open_.get(), static_cast<off_t>(size_)) != 0) {
    fail_write(file_, errno);
  }
  char last = '\n';
  if (size_ > 0 && read_at(open_, &last, 1, size_ - 1, file_) == 1 && last != '\n') {
    // A crash took the end of a line; the next one must not become part of it.
    write_all(open_, "\n", 1, file_);
    ++size_;
  }
}

void EventLog::write(const nlohmann::json& event) {
  if (!event.is_object()) {
    fail_run("an event for {} is {}, not an object", file_.string(), event.type_name());
  }
  const std::string line = json_text(event) + "\n";
  try {
    write_all(open_, line.data(), line.size(), file_);
  } catch (const Error&) {
    [[maybe_unused]] const int ignored = ftruncate(open_.get(), static_cast<off_t>(size_));
    throw;
  }
  size_ += line.size();
}

uint64_t EventLog::position() {
  sync(open_, file_);
  return size_;
}

}  // namespace bissl::host
