#include "distributed/team.h"

#include <thread>

namespace bissl::host {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// How often it is looked whether others have come or gone.
constexpr auto look_again = 10ms;
/// Until all processes have started and read the pipeline.
constexpr auto arrival_limit = 30min;
/// Until processes that have nothing left to do have ended.
constexpr auto end_limit = 10s;
/// Until it shows which process was the first to go.
constexpr auto cause_limit = 3s;

/// What the program ends with after an error.
constexpr int failed = 1;

constexpr const char* advice_when_lost =
    "Checkpoints stay: the same call continues, with another number of processes as well";

}  // namespace

Team::Team(const ProcessPlace& place)
    : place_(place), size_(place.meeting.size), meeting_(meet(place.meeting)) {}

Team::~Team() { dismiss(failed); }

void Team::gather() {
  if (place_.starts_others) {
    children_.emplace(size_, meeting_->port());
  }
  wait_for_all([this] { return meeting_->arrived(); });
  decided_ = true;
  meeting_->decide(std::nullopt);
  // One that has ended since it arrived would be waited for in vain while the group is made.
  wait_for_all([this] { return meeting_->ready(); });
  group_ = meeting_->form();
  in_use_.emplace(*group_);
}

void Team::wait_for_all(const std::function<int()>& number) {
  const auto end = Clock::now() + arrival_limit;
  while (true) {
    // Before the number is asked for: one that has come may have ended meanwhile.
    if (place_.meeting.while_waiting) {
      place_.meeting.while_waiting();
    }
    if ((children_ && children_->any_ended()) || meeting_->left() > 0) {
      const auto killed = children_ ? children_->killed(0ms) : std::nullopt;
      throw ProcessLost(
          fmt::format("{} before training began", killed.value_or("another process has ended")));
    }
    const int found = number();
    if (found >= size_) {
      return;
    }
    if (Clock::now() > end) {
      throw ProcessLost(fmt::format("{} of {} processes have come within {} minutes", found, size_,
                                    arrival_limit / 1min));
    }
    std::this_thread::sleep_for(look_again);
  }
}

void Team::dismiss(int exit_code) noexcept {
  const bool somebody_waits = children_ || !place_.starts_others;
  if (decided_ || !somebody_waits) {
    return;
  }
  decided_ = true;
  try {
    meeting_->decide(exit_code);
  } catch (const ProcessLost&) {
    return;
  }
  wait_for_ends(end_limit);
}

void Team::wait() { wait_for_ends(end_limit); }

void Team::part(bool interrupted) {
  if (!group_) {
    dismiss(failed);
    return;
  }
  if (interrupted) {
    meeting_->leave(/*interrupted=*/true);
    if (!group_->is_lost()) {
      wait_for_ends(cause_limit);
    }
  }
  in_use_.reset();
  group_.reset();
  wait_for_ends(interrupted ? end_limit : cause_limit);
}

void Team::wait_for_ends(std::chrono::milliseconds limit) {
  if (children_) {
    children_->wait(limit);
    return;
  }
  const auto end = Clock::now() + limit;
  while (meeting_->left() < size_ - 1 && Clock::now() < end) {
    std::this_thread::sleep_for(look_again);
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
  if (!group_ || !group_->is_lost()) {
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
