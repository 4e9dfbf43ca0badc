#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bissl::host {

/// What a parent saw of its child.
struct ChildOutcome {
  std::string answer;         ///< what it sent, line by line
  std::string words;          ///< the end of its output and error streams
  bool hung = false;          ///< it was killed when its time was over
  bool silent = false;        ///< that was the time for one line, not that for the whole
  std::optional<int> status;  ///< as from waitpid; none if the system kept it
  std::string not_started;    ///< why there was no child; empty if there was one
};

/// Sends a line (without its end) to the parent at once.
using SendLine = std::function<void(std::string_view line)>;

/// Runs `work` in a forked child that is harmless to its surroundings: a group of its own, no
/// handlers of the host, no core file, nothing to read, and output that ends up in `words` alone.
/// The child ends with status 0 when `work` returns, 1 when it throws. It is killed after `limit`,
/// or when it sends no line for `pause`.
///
/// Threads: forks without exec, so call it before this process starts threads that take locks; a
/// lock that another thread holds at that moment stays closed in the child.
ChildOutcome run_in_child(std::chrono::milliseconds limit,
                          const std::function<void(const SendLine& send)>& work,
                          std::chrono::milliseconds pause = std::chrono::hours(24));

/// The words as one line in quotation marks behind "; its last output: ", or nothing.
std::string quoted_words(const std::string& words);

}  // namespace bissl::host
