#include "data/prefetcher.h"

#include "base/phase.h"
#include "bissl/error.h"
#include "data/device_queue.h"

#include <pthread.h>
#include <sched.h>

namespace bissl::host {
namespace {

/// Has the calling thread wait for its turn when it wakes up, instead of taking the core from a
/// thread that trains. Its share of the cores stays, beside other programs as well. Nothing where
/// the system does not allow it, or the program was given a policy of its own.
void yield_when_woken() {
#if defined(SCHED_BATCH)
  int policy = 0;
  sched_param parameters{};
  if (::pthread_getschedparam(::pthread_self(), &policy, &parameters) == 0 &&
      policy == SCHED_OTHER) {
    ::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &parameters);
  }
#endif
}

}  // namespace

Prefetcher::Prefetcher(std::shared_ptr<const BatchSource> source, int64_t first, int64_t end,
                       int threads)
    : source_(std::move(source)),
      end_(end),
      next_wanted_(first),
      next_to_make_(first),
      ahead_(threads + 1) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { work(); });
  }
}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void Prefetcher::work() {
  yield_when_woken();
  std::optional<DeviceQueue> queue;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] {
      return stopping_ || next_to_make_ == end_ || next_to_make_ < next_wanted_ + ahead_;
    });
    if (stopping_ || next_to_make_ == end_) {
      return;
    }
    const int64_t number = next_to_make_++;
    lock.unlock();
    Made made;
    try {
      if (!queue) {
        queue.emplace(source_->device());
      }
      made.batch = source_->make(number);
      made.ready = queue->mark();
    } catch (...) {
      made.error = std::current_exception();
    }
    lock.lock();
    made_.emplace(number, std::move(made));
    changed_.notify_all();
  }
}

Batch Prefetcher::next() {
  const Phase phase(loader_phase);
  if (end_ >= 0 && next_wanted_ >= end_) {
    fail_run("batch {} was asked for, but the loader was to stop before {}", next_wanted_, end_);
  }
  if (threads_.empty()) {
    return source_->make(next_wanted_++);
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return made_.count(next_wanted_) != 0; });
  Made made = std::move(made_.extract(next_wanted_).mapped());
  ++next_wanted_;
  lock.unlock();
  changed_.notify_all();
  if (made.error) {
    std::rethrow_exception(made.error);
  }
  take_over(made.batch, made.ready);
  return made.batch;
}

}  // namespace bissl::host
