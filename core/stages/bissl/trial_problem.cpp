#include "stages/bissl/trial_problem.h"

#include "bissl/error.h"

namespace bissl::host {

void TrialProblem::spend() {
  if (budget_->left == 0) {
    budget_->over = true;
    fail_run("the trial of the solve is over");
  }
  --budget_->left;
}

TensorList TrialProblem::hessian_product(const TensorList& x) {
  spend();
  return inner_.hessian_product(x);
}

TensorList TrialProblem::gradient(const TensorList& shift) {
  spend();
  return inner_.gradient(shift);
}

void* TrialProblem::capability(std::string_view id) {
  void* inner = inner_.capability(id);
  if (inner != nullptr && id == RecordedSteps::id) {
    return static_cast<RecordedSteps*>(this);
  }
  return inner != nullptr && id == FreshBatches::id ? static_cast<FreshBatches*>(this) : inner;
}

std::vector<LowerStep> TrialProblem::recorded_steps() {
  std::vector<LowerStep> steps = bissl::capability<RecordedSteps>(inner_)->recorded_steps();
  for (LowerStep& step : steps) {
    of_steps_.push_back(std::unique_ptr<TrialProblem>(new TrialProblem(*step.system, budget_)));
    step.system = of_steps_.back().get();
  }
  return steps;
}

ImplicitSystem& TrialProblem::fresh_system(int64_t index) {
  ImplicitSystem& system = bissl::capability<FreshBatches>(inner_)->fresh_system(index);
  fresh_.reset(new TrialProblem(system, budget_));
  return *fresh_;
}

}  // namespace bissl::host
