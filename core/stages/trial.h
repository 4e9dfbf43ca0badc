#pragma once

#include "bissl/backbone.h"
#include "bissl/pretext.h"
#include "data/batches.h"
#include "stages/check.h"
#include "stages/context.h"
#include "stages/options.h"
#include "stages/step_memory.h"

#include <functional>
#include <memory>
#include <string>

namespace bissl::host {

/// Seconds that `work` takes.
double seconds_of(const std::function<void()>& work);

/// A stage that is tried without being trained: it is built by the functions that its run calls,
/// and batches of the sizes that its run takes go through it. Nothing of it is kept. Each method
/// throws Error for what the run would refuse, and fills in its part of the plan.
class StageTrial {
 public:
  /// With `measure`, passes are timed well enough for an estimate.
  StageTrial(const StageContext& context, StagePlan& plan, bool measure)
      : context_(context), plan_(plan), measure_(measure) {}
  virtual ~StageTrial() = default;
  StageTrial(const StageTrial&) = delete;
  StageTrial& operator=(const StageTrial&) = delete;

  const StageContext& context() const { return context_; }
  StagePlan& plan() { return plan_; }

  /// Data, networks, optimizers and what the parent hands on.
  virtual void build() = 0;
  /// Images that do not suit what is made of them. Looks at some hundred of each source.
  virtual void judge_images() = 0;
  /// Batches that the data or the networks do not suit.
  virtual void judge_batches() = 0;
  /// Numbers of steps and schedules that do not become what was asked for.
  virtual void judge_length() = 0;
  /// Steps that would not fit into memory, before one is made. Nothing for stages without any.
  virtual void judge_memory() {}
  /// What a step does, once, without moving the weights.
  virtual void step() = 0;
  /// Scores a few samples; the plan then has the metrics' names. Nothing for stages that do not.
  virtual void score() {}
  /// Steps, products and seconds. After step().
  virtual void estimate() = 0;
  /// What a run holds at most beyond what the trial took so far, as far as estimate() has not noted
  /// it: of what follows the passes of batches and is not tried. After step(), in a check alone: it
  /// gives freed memory back. Nothing for stages without any.
  virtual void estimate_memory() {}

 protected:
  bool measure() const { return measure_; }

  /// Runs a pass on a batch of `batch` samples, the number at this key; seconds that it takes.
  double pass(const char* key, int64_t batch, const std::function<void()>& work) const;
  /// The same for a pass that sends the views of `source`, as `declared`, through the pretext task.
  /// Where they differ in size, an error says where they are declared: task, backbone and views do
  /// not fit.
  double pass(const char* key, int64_t batch, const ViewsChoice& declared,
              const BatchSource& source, const std::function<void()>& work) const;
  /// A pass of a batch's first view without gradients, in evaluation mode, for StepOnBatch.
  static std::function<void(const Batch& batch)> evaluation_pass(Backbone& backbone);
  /// Throws Error(input) where a step would not fit into memory, with the batches that the loader
  /// holds when it makes `batches` of them in all: sets `held`, and adds its threads to `threads`.
  void require_memory(StepOnBatch step, int64_t batches);
  /// The bytes of all batches of a source that a run holds.
  double bytes_held(const BatchSource& source, int64_t batch, int64_t batches) const;
  /// Notes what a run holds of batches beyond the one that a step is tried on.
  void hold_batches(const BatchSource& source, int64_t batch, int64_t batches);
  /// Warns where batch normalisation would take its statistics from one image.
  void warn_about_single(const char* key, int64_t batch, torch::nn::Module& module);
  /// Warns where every batch must hold images several times.
  void warn_about_repeats(const char* key, int64_t batch, const std::string& data, int64_t samples);
  /// Warns where epochs are far from a whole number of steps, and of what the table's schedule does
  /// otherwise than asked for. `path` leads to the table: "head_warmup.", or empty for the stage's.
  void warn_about_length(const std::string& path, const LengthOptions& length,
                         const BatchSource& source, int64_t batch);
  void warn_about_schedule(const std::string& path, const Table& table, int64_t steps,
                           const BatchSource& source, int64_t batch);
  /// Warns of what the options of a pretext task put off until after the stage: steps of the task
  /// (parameters in "steps") that are as many as the stage has or more. Nothing for a stage that
  /// continues the task of another, whose steps count as well.
  void warn_about_task(const std::string& key, const ComponentChoice& task, int64_t steps);
  /// Adds a warning; an empty text is none.
  void warn(std::string text);
  void warn_all(const std::vector<std::string>& texts);
  /// Notes what a child of the stage will load.
  void hand_on(const char* file, const torch::nn::Module& module);
  /// Looks at images of a source, which `key` names.
  static void look_at_images(const char* key, const BatchSource& source);
  void describe(const BatchSource& source, Backbone& backbone);

 private:
  const StageContext& context_;
  StagePlan& plan_;
  bool measure_;
};

}  // namespace bissl::host
