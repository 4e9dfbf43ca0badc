#include "sweep/stage_states.h"

namespace bissl::host {

const char* to_string(WorkState state) {
  switch (state) {
    case WorkState::waiting:
      return "waiting";
    case WorkState::running:
      return "running";
    case WorkState::stale:
      return "stale";
    case WorkState::done:
      return "done";
    case WorkState::failed:
      return "failed";
  }
  return "";
}

WorkState StageStates::state(const std::string& key) {
  if (done_.count(key) != 0) {
    return WorkState::done;
  }
  if (store_.contains(key)) {
    done_.insert(key);
    return WorkState::done;
  }
  if (store_.is_running(key)) {
    return WorkState::running;
  }
  if (failure_above(key)) {
    return WorkState::failed;
  }
  return store_.is_begun(key) ? WorkState::stale : WorkState::waiting;
}

std::optional<Failure> StageStates::failure(const std::string& key) const {
  return files_.failure(key);
}

std::optional<Failure> StageStates::failure_above(const std::string& key) const {
  if (done_.count(key) != 0) {
    return std::nullopt;
  }
  if (std::optional<Failure> found = failure(key)) {
    return found;
  }
  for (const std::string& needed : needed_by(plan_.node(key))) {
    if (std::optional<Failure> found = failure_above(needed)) {
      return found;
    }
  }
  return std::nullopt;
}

std::vector<Failure> StageStates::failures() const {
  std::vector<Failure> found;
  for (const PlanNode& node : plan_.nodes) {
    if (done_.count(node.key) == 0) {
      if (std::optional<Failure> one = failure(node.key)) {
        found.push_back(std::move(*one));
      }
    }
  }
  return found;
}

double StageStates::seconds_of(const std::string& key) const {
  const std::optional<std::filesystem::path> folder = store_.find(key);
  return folder ? read_stage_results(*folder).seconds : 0.0;
}

}  // namespace bissl::host
