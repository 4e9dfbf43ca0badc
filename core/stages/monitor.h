#pragma once

#include "bissl/backbone.h"
#include "data/batches.h"
#include "stages/best_weights.h"
#include "stages/context.h"
#include "stages/session.h"
#include "stages/stage_kind.h"

#include <nlohmann/json.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// `monitor = { … }` of a stage that trains a backbone on a pretext task.
struct MonitorOptions {
  std::string data;
  int64_t every = 1;
  std::vector<std::string> figures = {"feature_std", "rankme"};
  int64_t samples = 1000;
  int64_t batch = 250;
  int64_t k = 20;
  double temperature = 0.07;
  double warn_below = 0.1;
  std::string keep_best;
  bool histograms = false;

  bool has(const std::string& figure) const;
};

MonitorOptions parse_monitor(const Table& table);
SubtableSpec monitor_table();

/// What a stage's monitor does with its data source; none without one.
std::optional<DataUse> monitored_data(const Stage& stage);

/// Takes figures of a backbone now and then while it is trained, on some images that are the same
/// each time, warns once where its features collapse, and keeps the weights of the step at which
/// one of the figures was best. Leaves networks and LibTorch's random generator as they were.
class Monitor {
 public:
  /// For a stage with a table `monitor` that trains `backbone` on views of the shape of those of
  /// `training`; `networks` are those whose weights are kept, and drawn as histograms. All must
  /// outlive it. Throws Error(input) for data that does not suit the backbone or the figures.
  Monitor(const StageContext& context, const BatchSource& training, Backbone& backbone,
          BestWeights::Networks networks);

  /// Makes its state part of the session's.
  void keep(Session& session);

  /// The number of images that all looks of a stage with `steps` steps pass through the backbone.
  int64_t images(int64_t steps) const;
  const BatchSource& source() const { return *batches_; }

  /// After `done` of `steps` steps: takes the figures when it is time and puts them into the event
  /// of the step, as "monitor"; adds the last ones to what the step shows.
  void after_step(int64_t done, int64_t steps, Session::StepNews& news);

  /// Sends some images through the backbone, as a look does.
  void try_images() const;

  /// Puts the weights of the best step into the networks, if they are kept.
  void put_best() const;

  /// The last figures, and where the best weights were found.
  nlohmann::json report() const;

 private:
  /// (rows, D), float, in evaluation mode; the labels too, where the figures need them.
  at::Tensor features(int64_t rows, at::Tensor* labels) const;
  void look(int64_t done, Session::StepNews& news);
  /// Warns where the features have collapsed.
  void judge_spread(double spread, int64_t done);
  std::optional<double> measure(const std::string& figure, const at::Tensor& features,
                                const at::Tensor& labels) const;

  const StageContext& context_;
  MonitorOptions options_;
  Backbone& backbone_;
  BestWeights::Networks networks_;
  std::shared_ptr<BatchSource> batches_;
  int64_t samples_ = 0;
  std::optional<BestWeights> best_;
  Session::Values last_;  ///< of the figures that had a value
  int64_t last_step_ = 0;
  bool warned_ = false;
  int64_t low_ = 0;  ///< looks in a row at which the features looked collapsed
};

/// The monitor of a stage; none where its table has none.
std::unique_ptr<Monitor> make_monitor(const StageContext& context, const BatchSource& training,
                                      Backbone& backbone, BestWeights::Networks networks);

}  // namespace bissl::host
