#include "track/live_tensorboard.h"

#include "bissl/error.h"
#include "pipeline/run_names.h"
#include "track/runs.h"
#include "track/tensorboard_files.h"

#include <chrono>
#include <system_error>

namespace bissl::host {

LiveTensorboard::LiveTensorboard(std::filesystem::path run) : run_(std::move(run)) {
  try {
    thread_ = std::thread([this] { follow(); });
  } catch (const std::system_error& error) {
    fail_run("--tensorboard: cannot start a thread: {}", error.what());
  }
}

LiveTensorboard::~LiveTensorboard() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
}

std::string LiveTensorboard::finish() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    last_look_ = true;
  }
  changed_.notify_all();
  thread_.join();
  return problem_;
}

void LiveTensorboard::follow() {
  TensorboardFiles files;
  const auto look = [&] {
    std::error_code ignored;
    if (std::filesystem::exists(run_ / run_lock_file, ignored)) {
      files.update(find_runs({run_}));
    }
  };
  try {
    std::unique_lock lock(mutex_);
    while (!over_) {
      lock.unlock();
      look();
      lock.lock();
      changed_.wait_for(lock, std::chrono::seconds(1), [this] { return over_; });
    }
    const bool once_more = last_look_;
    lock.unlock();
    if (once_more) {
      look();
    }
  } catch (const std::exception& error) {
    problem_ = error.what();
  }
}

}  // namespace bissl::host
