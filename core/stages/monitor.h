#pragma once

#include "bissl/backbone.h"
#include "data/batches.h"
#include "stages/best_weights.h"
#include "stages/context.h"
#include "stages/monitored_source.h"
#include "stages/session.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// Takes figures of a backbone now and then while it is trained, on some images of one data source
/// or of several (MonitoredSource), and keeps the weights of the step at which one of the figures
/// was best. Leaves networks and LibTorch's random generator as they were.
///
/// Where the stage's table has an array `monitor`, a figure is called "DATA.FIGURE".
class Monitor {
 public:
  /// For a stage with a monitor that trains `backbone` on views of the shape of those of
  /// `training`; `networks` are those whose weights are kept, and drawn as histograms. All must
  /// outlive it. Throws Error(input) for data that does not suit the backbone or the figures, and
  /// for tables that contradict each other.
  Monitor(const StageContext& context, const BatchSource& training, Backbone& backbone,
          BestWeights::Networks networks);

  /// Makes its state part of the session's.
  void keep(Session& session);

  /// The number of images that all looks of a stage with `steps` steps pass through the backbone.
  int64_t images(int64_t steps) const;
  const std::vector<std::unique_ptr<MonitoredSource>>& sources() const { return sources_; }

  /// After `done` of `steps` steps: takes the figures when it is time and puts them into the event
  /// of the step, as "monitor"; adds the last ones to what the step shows.
  void after_step(int64_t done, int64_t steps, Session::StepNews& news);

  /// Warnings about numbers of images that a data source does not have.
  std::vector<std::string> doubts() const;

  /// Sends some images of each source through the backbone, as a look does.
  void try_images() const;

  /// Throws Error(input) where the figures of a look are beyond what memory there is.
  void refuse_beyond_memory() const;
  /// The passes of looks, for the memory that they take: with the features and the best weights
  /// that are kept beside them. This must outlive them.
  std::vector<StepOnBatch> passes() const;
  /// The most bytes that a look takes, beside the best weights: the pass of a batch with the
  /// features of those before, or the figures.
  double look_bytes() const;
  /// Bytes of the best weights, 0 where none are kept.
  double best_bytes() const;

  /// Puts the weights of the best step into the networks, if they are kept.
  void put_best() const;

  /// The last figures, and where the best weights were found.
  nlohmann::json report() const;

 private:
  std::string name_of(const MonitoredSource& source, const std::string& figure) const;
  void look(MonitoredSource& source, int64_t done, nlohmann::json& event);

  BestWeights::Networks networks_;
  bool named_;  ///< the stage's table has an array of tables
  std::vector<std::unique_ptr<MonitoredSource>> sources_;
  const MonitoredSource* chooses_ = nullptr;  ///< the one whose figure chooses the weights
  std::optional<BestWeights> best_;
};

/// The monitor of a stage; none where its table has none.
std::unique_ptr<Monitor> make_monitor(const StageContext& context, const BatchSource& training,
                                      Backbone& backbone, BestWeights::Networks networks);

}  // namespace bissl::host
