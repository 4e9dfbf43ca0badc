#include "stages/trial_problem.h"

#include "bissl/error.h"

namespace bissl {

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

std::vector<LowerStep> TrialProblem::steps() {
  std::vector<LowerStep> steps = inner_.steps();
  for (LowerStep& step : steps) {
    of_steps_.push_back(std::unique_ptr<TrialProblem>(new TrialProblem(*step.problem, budget_)));
    step.problem = of_steps_.back().get();
  }
  return steps;
}

}  // namespace bissl
