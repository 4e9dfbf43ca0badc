#include "sweep/worker_group.h"

#include "base/exception_text.h"
#include "distributed/team.h"
#include "stages/follow.h"

namespace bissl::host {
namespace {

std::string text_of_error(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (...) {
    return current_exception_text();
  }
}

}  // namespace

WorkerGroup::WorkerGroup(const ProcessPlace& place) : place_(place) {}

WorkerGroup::~WorkerGroup() = default;

void WorkerGroup::gather() {
  if (place_.meeting.size == 1 || team_) {
    return;
  }
  team_ = std::make_unique<Team>(place_);
  team_->gather();
}

WorkerGroup::Failure WorkerGroup::ended_by(const std::exception_ptr& error) {
  if (!team_) {
    return {};
  }
  Failure failure;
  if (team_->was_interrupted()) {
    failure.interrupted = true;
    end_interrupted(*team_);
  } else {
    if (team_->is_lost()) {
      failure.loss = text_of_error(team_->explained(error));
    }
    team_->part(/*interrupted=*/false);
  }
  team_.reset();
  return failure;
}

void WorkerGroup::end(bool interrupted) {
  if (!team_) {
    return;
  }
  if (interrupted) {
    end_interrupted(*team_);
  } else {
    announce_end();
    team_->wait();
  }
  team_.reset();
}

}  // namespace bissl::host
