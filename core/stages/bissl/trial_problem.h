#pragma once

#include "bissl/system_abilities.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bissl::host {

/// A system that answers a few times and then ends the solve by an exception: what an
/// approximator refuses, it refuses early, and a whole solve may take long.
class TrialProblem : public ImplicitSystem, public RecordedSteps, public FreshBatches {
 public:
  /// Answers up to `limit` products and gradients; `inner` must outlive it.
  TrialProblem(ImplicitSystem& inner, int64_t limit)
      : TrialProblem(inner, std::make_shared<Budget>(Budget{limit})) {}

  /// Whether the solve was ended by this, and not by a failure.
  bool is_over() const { return budget_->over; }

  TensorList hessian_product(const TensorList& x) override;
  TensorList gradient(const TensorList& shift) override;
  const TensorList& parameters() const override { return inner_.parameters(); }
  double weight() const override { return inner_.weight(); }
  const std::vector<std::string>& parameter_names() const override {
    return inner_.parameter_names();
  }
  uint64_t id() const override { return inner_.id(); }
  void* capability(std::string_view id) override;
  std::vector<LowerStep> recorded_steps() override;
  ImplicitSystem& fresh_system(int64_t index) override;

 private:
  struct Budget {
    int64_t left = 0;
    bool over = false;
  };
  TrialProblem(ImplicitSystem& inner, std::shared_ptr<Budget> budget)
      : inner_(inner), budget_(std::move(budget)) {}
  void spend();

  ImplicitSystem& inner_;
  std::shared_ptr<Budget> budget_;  ///< shared with the systems that it gives
  std::vector<std::unique_ptr<TrialProblem>> of_steps_;
  std::unique_ptr<TrialProblem> fresh_;
};

}  // namespace bissl::host
