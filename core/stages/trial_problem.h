#pragma once

#include "bissl/hypergradient.h"

#include <memory>
#include <vector>

namespace bissl {

/// A lower problem that answers a few times and then ends the solve by an exception: what an
/// approximator refuses, it refuses early, and a whole solve may take long.
class TrialProblem : public LowerProblem {
 public:
  /// Answers up to `limit` products and gradients; `inner` must outlive it.
  TrialProblem(LowerProblem& inner, int64_t limit)
      : TrialProblem(inner, std::make_shared<Budget>(Budget{limit})) {}

  /// Whether the solve was ended by this, and not by a failure.
  bool is_over() const { return budget_->over; }

  TensorList hessian_product(const TensorList& x) override;
  TensorList gradient(const TensorList& shift) override;
  const TensorList& parameters() const override { return inner_.parameters(); }
  double lambda() const override { return inner_.lambda(); }
  const std::vector<std::string>& parameter_names() const override {
    return inner_.parameter_names();
  }
  uint64_t id() const override { return inner_.id(); }
  TensorList preconditioner() override { return inner_.preconditioner(); }
  std::vector<LowerStep> steps() override;
  std::vector<LayerGradient> layer_gradients() override { return inner_.layer_gradients(); }

 private:
  struct Budget {
    int64_t left = 0;
    bool over = false;
  };
  TrialProblem(LowerProblem& inner, std::shared_ptr<Budget> budget)
      : inner_(inner), budget_(std::move(budget)) {}
  void spend();

  LowerProblem& inner_;
  std::shared_ptr<Budget> budget_;  ///< shared with the problems of the steps
  std::vector<std::unique_ptr<TrialProblem>> of_steps_;
};

}  // namespace bissl
