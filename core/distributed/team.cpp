#include "distributed/team.h"

#include <thread>

namespace bissl::host {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Until all processes have started and read the pipeline.
constexpr auto arrival_limit = 30min;
/// Until processes that have nothing left to do have ended.
constexpr auto end_limit = 10s;
/// Until it shows which process was the first to go.
constexpr auto cause_limit = 3s;

constexpr const char* advice_when_lost =
    "Checkpoints stay: the same call continues, with another number of processes as well";

}  // namespace

Team::Team(const ProcessPlace& place) : size_(place.meeting.size), meeting_(meet(place.meeting)) {
  if (place.starts_others) {
    children_.emplace(size_, meeting_->port());
  }
  wait_for_arrival();
  group_ = meeting_->form();
  in_use_.emplace(*group_);
}

void Team::wait_for_arrival() {
  const auto end = Clock::now() + arrival_limit;
  while (meeting_->arrived() < size_) {
    if (children_ && children_->any_ended()) {
      throw ProcessLost(fmt::format("{} before training began",
                                    children_->killed(0ms).value_or("another process has ended")));
    }
    if (Clock::now() > end) {
      throw ProcessLost(fmt::format("{} of {} processes have come within {} minutes",
                                    meeting_->arrived(), size_, arrival_limit / 1min));
    }
    std::this_thread::sleep_for(10ms);
  }
}

void Team::wait() {
  if (children_) {
    children_->wait(end_limit);
  }
}

std::string Team::cause() {
  for (int rank = 1; rank < size_; ++rank) {
    if (const std::string reason = group_->reason_of(rank); !reason.empty()) {
      return fmt::format("process {} of {}: {}", rank, size_, reason);
    }
  }
  if (children_) {
    if (const auto killed = children_->killed(cause_limit)) {
      return *killed + ". The system does so where memory is short";
    }
  }
  return "";
}

std::exception_ptr Team::explained(std::exception_ptr error) {
  if (!group_->is_lost()) {
    return error;
  }
  if (children_) {
    children_->wait(cause_limit);
  }
  std::string text = cause();
  if (text.empty()) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& exception) {
      text = exception.what();
    } catch (...) {
      text = "another process is lost";
    }
  }
  return std::make_exception_ptr(ProcessLost(fmt::format("{}. {}", text, advice_when_lost)));
}

}  // namespace bissl::host
