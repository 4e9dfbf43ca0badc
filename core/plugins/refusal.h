#pragma once

#include "plugins/load_report.h"

#include <exception>
#include <functional>
#include <utility>

namespace bissl::host {

/// Why a library is not taken. Thrown by the steps of loading, caught by the Registry, which knows
/// the path; nothing outside core/plugins sees it.
class Refusal : public std::exception {
 public:
  explicit Refusal(LoadProblem problem) : problem_(std::move(problem)) {}

  const char* what() const noexcept override { return problem_.code.c_str(); }
  /// Its path is still empty.
  const LoadProblem& problem() const { return problem_; }

 private:
  LoadProblem problem_;
};

/// Told what is about to be done to a library ("opening", "registering", …), so that a crash can
/// say where it happened.
using StepObserver = std::function<void(const char* doing)>;

}  // namespace bissl::host
