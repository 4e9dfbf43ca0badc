#pragma once

#include "bissl/downstream.h"
#include "conformance/checker.h"

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

namespace bissl::host {

// What the checks of downstream tasks have in common.

/// A task in double precision and training mode, with features and targets of one kind to try it
/// on.
struct HeadTrial {
  static constexpr int64_t samples = 12;
  static constexpr int64_t features = 6;

  TargetSpec spec;
  std::shared_ptr<Downstream> task;
  at::Tensor inputs;    ///< head_inputs
  TargetBatch targets;  ///< of all samples, in double precision where they are numbers
  at::Tensor outputs;   ///< of the inputs in evaluation mode, without graph
  bool direct =
      false;  ///< outputs are (N, K) for every K: what bissl/downstream.h says of the kind
};

/// One trial for each kind of target that the task takes.
using HeadTrials = std::vector<HeadTrial>;

/// Does `check` for each; where a task takes several kinds, what is thrown says of which.
void for_each_kind(const HeadTrials& trials, const std::function<void(const HeadTrial&)>& check);
/// The same; throws NotApplicable, with the shape of the outputs, if none is direct.
void for_each_direct(const HeadTrials& trials, const std::function<void(const HeadTrial&)>& check);

/// K targets of a kind, called by their numbers.
TargetSpec numbered_targets(TargetKind kind, int64_t width);

/// The numbers of targets of a kind that are tried; a task may refuse some as wrong input.
std::vector<int64_t> numbers_of_targets(TargetKind kind);

/// A new instance whose weights begin alike each time; a HeadOnBackbone where the task reads more
/// than features. Throws a Violation where the factory refuses
/// the context otherwise than as wrong input, Error(ErrorKind::input) where it does so.
std::shared_ptr<Downstream> make_head(const Checker& checker, const TargetSpec& spec,
                                      int64_t features = HeadTrial::features);

/// Why no instance can be made for want of an ability of the backbone; empty if that is not so.
std::string why_head_not_tried(const Checker& checker);

/// Numbers as a task made by make_head is given them, in double precision: features (samples,
/// features), or images for one that reads the backbone itself.
at::Tensor head_inputs(const Downstream& task, int64_t samples, uint64_t seed,
                       int64_t features = HeadTrial::features);

/// The same for the first kind that it takes and the first number that the factory accepts.
std::shared_ptr<Downstream> make_downstream_for_some_targets(const Checker& checker);

/// A trial of a task with targets of a kind that it takes. Throws a Violation.
HeadTrial make_trial(const Checker& checker, TargetKind kind);

/// Targets that go through all that a spec allows, what does not count included. Numbers in this
/// precision, as the outputs that they are compared with; masks for images of the shape `view`.
TargetBatch sample_targets(const TargetSpec& spec, int64_t samples, c10::ScalarType type,
                           const ImageShape& view = {1, 6, 5});

/// Some of the samples, and all in the order of `places`.
TargetBatch part_of(const TargetBatch& targets, int64_t begin, int64_t count);
TargetBatch chosen_from(const TargetBatch& targets, const at::Tensor& places);
/// Numbers in single precision.
TargetBatch in_single(const TargetBatch& targets);
/// Equal in every bit that counts.
bool same(const TargetBatch& x, const TargetBatch& y);

/// Scores (N, width) that are best where the categories, moved by `shift` places, say: 1 − s there
/// and s elsewhere, for a small s, times `scale`.
at::Tensor decided_scores(const at::Tensor& categories, int64_t classes, int64_t width,
                          int64_t shift, double scale);

/// Outputs (N, K) that are right where `wrong` is 0, and wrong in one of wrong_ways() ways
/// otherwise; the further from the right ones the larger `scale` is. In double precision.
at::Tensor decided_outputs(const TargetSpec& spec, const TargetBatch& targets, int64_t wrong,
                           double scale);
int64_t wrong_ways(const TargetSpec& spec);

/// The outputs of an evaluation, detached.
at::Tensor evaluate(Downstream& task, const at::Tensor& inputs);

/// The loss of copies, without gradients. Throws a Violation unless it is a scalar.
double loss_of(Downstream& task, const at::Tensor& outputs, const TargetBatch& targets);
double value_of(const at::Tensor& loss);

std::string shape_text(const at::Tensor& tensor);

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

/// The check that each number of targets works; says which trials are direct.
void check_numbers_of_targets(const Checker& checker, HeadTrials& trials);
/// The check that right outputs cost less than wrong ones.
void check_order_of_losses(const HeadTrial& trial);
/// The check that entries that do not count change neither loss nor metrics.
void check_what_does_not_count(const HeadTrials& trials);

/// The check that a loss that couples samples says so. Throws NotApplicable for one that does.
void check_coupling_of_samples(const HeadTrial& trial);

/// The checks of metrics() and metric_info().
void check_metrics(Checker& checker, const HeadTrials& trials);

}  // namespace bissl::host
