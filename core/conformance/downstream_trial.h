#pragma once

#include "bissl/downstream.h"
#include "conformance/checker.h"

#include <ATen/core/Tensor.h>

#include <memory>

namespace bissl {

// What the checks of downstream tasks have in common.

/// A task in double precision and training mode, with features to try it on.
struct HeadTrial {
  static constexpr int64_t samples = 12;
  static constexpr int64_t features = 6;

  std::shared_ptr<Downstream> task;
  int64_t classes = 0;
  at::Tensor inputs;    ///< (samples, features)
  at::Tensor targets;   ///< (samples), all classes in turn
  at::Tensor outputs;   ///< of the inputs in evaluation mode, without graph
  bool scores = false;  ///< outputs are (N, K) for every K: they are taken for scores of classes
};

/// A new instance whose weights begin alike each time. Throws a Violation where the factory refuses
/// the context otherwise than as wrong input, Error(ErrorKind::input) where it does so.
std::shared_ptr<Downstream> make_head(const Checker& checker, int64_t classes,
                                      int64_t features = HeadTrial::features);

/// The same for the first number of classes that the factory accepts.
std::shared_ptr<Downstream> make_downstream_for_some_classes(const Checker& checker);

/// (samples) targets that go through all classes in turn.
at::Tensor targets_of(int64_t samples, int64_t classes);

/// Scores (N, width) that are best where the targets, moved by `shift` classes, say: 1 − s there
/// and s elsewhere, for a small s, times `scale`.
at::Tensor decided_scores(const at::Tensor& targets, int64_t classes, int64_t width, int64_t shift,
                          double scale);

/// How a task is to be called for one evaluation: mode, gradient mode and generator.
class EvaluationOf {
 public:
  explicit EvaluationOf(Downstream& task);
  ~EvaluationOf();
  EvaluationOf(const EvaluationOf&) = delete;
  EvaluationOf& operator=(const EvaluationOf&) = delete;

 private:
  Downstream& task_;
};

/// The checks of metrics().
void check_metrics(Checker& checker, const HeadTrial& trial);

}  // namespace bissl
