#pragma once

#include "pipeline/pipeline.h"
#include "stages/context.h"
#include "store/stage_results.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

class StageTrial;
struct StagePlan;

/// What a stage does with a data source.
struct DataUse {
  std::string name;     ///< of the source
  bool trains = false;  ///< weights are fitted to it
  bool labels = false;  ///< its labels are used
  bool scores = false;  ///< the stage is scored on it
};

/// The head that a stage hands on.
struct HeadOrigin {
  const ComponentChoice* downstream;  ///< part of the stage's table
  std::string data;                   ///< the source that it was trained on
};

/// A kind of stage: all that the host knows of it. Each has a folder of its own below core/stages
/// and a line in stage_kinds.cpp. Objects have no state, and any thread may call them.
class StageKind {
 public:
  StageKind() = default;
  virtual ~StageKind() = default;
  StageKind(const StageKind&) = delete;
  StageKind& operator=(const StageKind&) = delete;

  /// The name, the table, what it may continue.
  virtual const StageKindSpec& spec() const = 0;

  /// What a stage's data sources are for; one that has several uses may occur several times.
  virtual std::vector<DataUse> data(const Stage& stage) const = 0;

  /// Files that a stage reads beside its data: their content is part of its key.
  virtual std::vector<std::string> files(const Stage& /*stage*/) const { return {}; }

  /// Where a stage leaves its weights, relative to its folder; several places where it trains
  /// several networks side by side.
  virtual std::vector<std::string> weight_folders(const Stage& /*stage*/) const { return {""}; }

  /// The head that a stage hands on; none if it hands on none.
  virtual std::optional<HeadOrigin> head(const Stage& /*stage*/) const { return std::nullopt; }

  /// How many images of the pretext task a stage's steps see, where its table alone says so: not
  /// where its length is in epochs or follows another stage. None for a kind that trains no pretext
  /// task.
  virtual std::optional<double> pretext_images(const Stage& /*stage*/) const {
    return std::nullopt;
  }

  /// Puts numbers in the place of what the tables of a stage and of those that it continues decide
  /// together; those come before it in `pipeline` and are settled. Leaves alone what they do not
  /// decide. Throws Error(input).
  virtual void settle(const Pipeline& /*pipeline*/, Stage& /*stage*/) const {}

  /// The views by which a stage's networks are scored; null for a stage that scores none. By
  /// default those of a kind that trains no network.
  virtual const ViewsChoice* scoring_views(const Stage& stage) const {
    return spec().hands_on.empty() && stage.table.views ? &*stage.table.views : nullptr;
  }

  /// The tables of a stage with the views by which its networks see images, those that they are
  /// scored by before those that they are trained by: names of subtables, empty for its own table.
  virtual std::vector<std::string> view_tables() const { return {""}; }

  /// Runs a stage to its end: writes weights and events to its folder and returns its results: the
  /// metrics with their directions, the event logs with the losses in them, figures of its own.
  /// Continues from the folder's checkpoint if there is one. Throws Interrupted after writing one
  /// when the user asked to stop, and Error without the stage's place.
  virtual StageResults run(const StageContext& context) const = 0;

  /// A trial of a stage. Context and plan must outlive it. With `measure`, its passes are timed.
  virtual std::unique_ptr<StageTrial> trial(const StageContext& context, StagePlan& plan,
                                            bool measure) const = 0;
};

/// The kind of that name. A name that no kind has is a fault of the caller: Error of kind run.
const StageKind& stage_kind(const std::string& name);

/// What all kinds are, for the pipeline reader and for `bissl describe`.
const std::vector<StageKindSpec>& stage_kinds();

/// Adds a kind to those of the host until the end of the process. Before anything is read.
void add_stage_kind(const StageKind& kind);

}  // namespace bissl::host
