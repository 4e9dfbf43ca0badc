#pragma once

#include "bissl/parameters.h"
#include "bissl/pretext.h"

#include <memory>

namespace bissl {

/// How slowly a teacher follows.
struct MomentumOptions {
  double momentum = 0.996;
  double momentum_end = 1.0;
};
Schema<MomentumOptions> momentum_schema();

/// The share of the teacher that step k of K keeps, τ_end − (τ_end − τ)·(cos(πk/K) + 1)/2 (Grill et
/// al. 2020, arXiv 2006.07733, section 3.2).
double momentum_at(const MomentumOptions& options, const TrainingProgress& progress);

/// A backbone and a head that are a moving average of the student's: the submodule `teacher` of a
/// task, with `backbone` and `projector` in it. None of its parameters requires a gradient.
class Teacher {
 public:
  /// Makes and registers it. It begins as a copy of the student; `head` has the structure of
  /// `student_head`.
  Teacher(torch::nn::Module& task, const PretextContext& context,
          std::shared_ptr<torch::nn::Module> head, const torch::nn::Module& student_head);

  Backbone& backbone() const { return *backbone_; }

  /// For after_step: a step towards the student.
  void follow(Backbone& student, const torch::nn::Module& student_head, double momentum) const;

 private:
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<torch::nn::Module> head_;
};

}  // namespace bissl
