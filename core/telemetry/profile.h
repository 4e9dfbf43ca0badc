#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace bissl::host {

/// What the time between two moments went into.
struct ProfileReport {
  /// Of one operation of LibTorch, or one phase (base/phase.h), over all its calls.
  struct Row {
    std::string name;
    int64_t calls = 0;
    double total = 0;  ///< seconds from begin to end
    double own = 0;    ///< less those of operations and phases within it
  };

  double seconds = 0;  ///< from start to stop
  double cpu = 0;      ///< processor seconds of all threads
  // Of the thread that started the profile: phases by their total time, operations by their own.
  std::vector<Row> phases;
  std::vector<Row> operations;
  double elsewhere = 0;   ///< seconds of it in none of them
  int64_t threads = 0;    ///< others that called operations: the loader's
  double in_threads = 0;  ///< seconds that these spent in operations, together
  int64_t events = 0;     ///< calls of all threads
  int64_t traced = 0;     ///< of these in the trace

  /// Phases and operations in two tables, with calls, times, and the share of `seconds`.
  std::string text() const;
};

/// Observes all operations of LibTorch, and all phases, of all threads while it lives. One at a
/// time in a process. An operation then takes up to a microsecond longer.
class Profile {
 public:
  /// The first `most_traced` calls that end are kept one by one, for the trace; the report counts
  /// all.
  explicit Profile(int64_t most_traced = 200000);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  /// Ends it. No other thread may be within an operation.
  ProfileReport stop();

  /// After stop(): the calls in Chrome's trace format, which chrome://tracing and
  /// ui.perfetto.dev show.
  void write_trace(const std::filesystem::path& file) const;

 private:
  class Recorder;
  std::unique_ptr<Recorder> recorder_;
};

}  // namespace bissl::host
