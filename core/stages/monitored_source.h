#pragma once

#include "bissl/backbone.h"
#include "data/batches.h"
#include "stages/context.h"
#include "stages/monitor_options.h"
#include "stages/session.h"
#include "stages/step_memory.h"

#include <nlohmann/json.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// Takes figures of a backbone while it is trained, on some images of one data source that are the
/// same each time, and warns once where its features collapse. Leaves networks and LibTorch's
/// random generator as they were.
class MonitoredSource {
 public:
  /// By a table of the stage's monitor. `training` gives what `backbone` is trained on; `named`:
  /// there are other sources, so that a warning says which one it is about. All but `training` must
  /// outlive it, the table too. Throws Error(input) for data that does not suit the backbone or the
  /// figures.
  MonitoredSource(const StageContext& context, const Table& table, const BatchSource& training,
                  Backbone& backbone, bool named);

  const MonitorOptions& options() const { return options_; }
  const BatchSource& batches() const { return *batches_; }

  /// Whether it looks after `done` of `steps` steps.
  bool is_due(int64_t done, int64_t steps) const {
    return done % options_.every == 0 || done == steps;
  }
  /// The number of images that all looks of a stage with `steps` steps pass through the backbone.
  int64_t images(int64_t steps) const;

  /// The figures after `done` steps, in the order of the table; none for one without a value.
  std::vector<std::pair<std::string, std::optional<double>>> look(int64_t done);

  /// Warnings about numbers of images that the data source does not have.
  std::vector<std::string> doubts() const;

  /// Sends some images through the backbone, as a look does.
  void try_images() const;

  /// The pass of one batch of a look, for the memory that it takes; the features that a look keeps
  /// are beside it. This must outlive it.
  StepOnBatch pass() const;
  /// Bytes that a look takes once all its images have passed: their features, with the most that
  /// putting them together or a figure takes beside them.
  double figures_bytes() const;
  /// Throws Error(input) where that is more than there is by any means.
  void refuse_beyond_memory() const;

  /// The figures of the last look that had a finite value.
  const Session::Values& last() const { return last_; }
  /// The last figures and their step, for results.
  nlohmann::json report() const;

  /// Its part of a checkpoint.
  nlohmann::json save() const;
  void load(const nlohmann::json& saved);

 private:
  /// The images that looks see, in batches of at most `batch`; with labels where figures need them.
  std::shared_ptr<BatchSource> batches_of(int64_t batch) const;
  /// Bytes of the features of all images of a look.
  double features_bytes() const;
  /// Bytes that "knn" takes beside them.
  double neighbours_bytes() const;
  /// (rows, D), float, in evaluation mode; the labels too, where the figures need them.
  at::Tensor features(int64_t rows, at::Tensor* labels) const;
  /// Warns where the features have collapsed.
  void judge_spread(double spread, int64_t done);
  std::optional<double> measure(const std::string& figure, const at::Tensor& features,
                                const at::Tensor& labels) const;

  const StageContext& context_;
  MonitorOptions options_;
  const ViewsChoice& augment_;
  Backbone& backbone_;
  bool named_;
  std::shared_ptr<BatchSource> batches_;
  int64_t samples_ = 0;
  Session::Values last_;
  int64_t last_step_ = 0;
  bool warned_ = false;
  int64_t low_ = 0;  ///< looks in a row at which the features looked collapsed
};

}  // namespace bissl::host
