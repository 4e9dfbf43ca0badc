#include "telemetry/events.h"

#include "bissl/error.h"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>

namespace bissl {
namespace {

void name_non_finite(nlohmann::json& value) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (!std::isfinite(number)) {
      value = std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf";
    }
  } else if (value.is_structured()) {
    for (nlohmann::json& item : value) {
      name_non_finite(item);
    }
  }
}

}  // namespace

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
  nlohmann::json copy = event;
  name_non_finite(copy);
  const std::string line =
      copy.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
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

}  // namespace bissl
