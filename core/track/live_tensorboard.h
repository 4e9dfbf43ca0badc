#pragma once

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

namespace bissl::host {

/// Writes TensorBoard's files of a run while this process computes it: from a thread of its
/// own, which looks at the event logs every second. The run neither waits for it nor fails with it.
class LiveTensorboard {
 public:
  /// The run's folder need not be there yet. Throws Error(run) where no thread can be started.
  explicit LiveTensorboard(std::filesystem::path run);
  /// Ends without a last look.
  ~LiveTensorboard();
  LiveTensorboard(const LiveTensorboard&) = delete;
  LiveTensorboard& operator=(const LiveTensorboard&) = delete;

  /// Looks a last time and ends. What went wrong; empty if nothing did.
  std::string finish();

 private:
  void follow();

  std::filesystem::path run_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  bool last_look_ = false;
  std::string problem_;
  std::thread thread_;
};

}  // namespace bissl::host
