#pragma once

#include "base/posix_file.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>

namespace bissl::host {

/// The log of a session's steps, in its folder. read_events() reads it.
inline constexpr const char* event_log_file = "events.jsonl";

/// The measurements of a stage, one JSON object a line. Lines go straight to the
/// system, so another process can follow the file, and a killed one loses none.
///
/// Numbers that are not finite, which JSON lacks, become null and are named in "not_finite"; bytes
/// that are not UTF-8 become U+FFFD.
class EventLog {
 public:
  /// Opens or makes the file and cuts off what lies beyond `position`: 0 for a stage that starts,
  /// the position() in the checkpoint for one that continues, so that the steps that are done again
  /// are not logged twice. A file that is shorter is continued where it ends: the lines that a
  /// crash of the machine took are measurements, not worth refusing to continue. Error(run) when
  /// the file cannot be opened.
  explicit EventLog(std::filesystem::path file, uint64_t position = 0);

  /// Appends one line. Error(run) if `event` is no object or the line cannot be written; then
  /// nothing of it stays in the file.
  void write(const nlohmann::json& event);

  /// The number of bytes so far, after making them durable.
  uint64_t position();

 private:
  std::filesystem::path file_;
  FileDescriptor open_;
  uint64_t size_ = 0;
};

}  // namespace bissl::host
