#pragma once

#include "pipeline/pipeline.h"
#include "store/stage_results.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace bissl::host {

/// `match = { … }`: the length of a stage that trains the pretext task follows that of another.
struct MatchOptions {
  std::string stage;
  std::string by;
};

SubtableSpec match_table();

/// Nothing without the table.
std::optional<MatchOptions> parse_match(const Table& stage);

/// Settles the lengths that the tables decide (StageKind::settle), and gives each stage that is as
/// long as another one by its steps that number of steps, in the place of `match`, where the other
/// stage's table says it: such a stage is then one of that length, whatever else the other one is,
/// and stages of several pipelines can be the same. Throws as steps_for does.
void settle_lengths(Pipeline& pipeline);

/// What a stage's training took, in images of its pretext task: an image is one sample with all of
/// its views.
struct TrainingCost {
  double images = 0;  ///< that its steps on the pretext loss saw
  /// How often an image went through a network forwards and backwards. A Hessian product counts as
  /// two of that, and what has one view as its share of an image.
  double gradient_images = 0;
  double seconds = 0;
  double pretext_seconds = 0;  ///< of them, those of its steps on the pretext loss; 0: not known
};

/// Of a finished stage; zeros for one that trains no pretext task.
TrainingCost cost_of(const StageResults& results);

/// Adds what cost_of reads back.
void note_cost(nlohmann::json& details, const TrainingCost& cost);

/// How much a stage with `match` is to train, in its own gradient_images: as many as take the
/// images, the gradients or the seconds of `matched`. Seconds are turned into gradients by the
/// speed of its own steps on the pretext loss, made under the same load of the machine; where that
/// is not known, by the speed of `parent`. Where neither is, as in a check, the gradients are
/// taken.
double matched_budget(const MatchOptions& options, const TrainingCost& matched,
                      const TrainingCost& parent);

/// Steps of `cost_of_step` each (images for by = "steps", gradient_images otherwise) for a budget;
/// at least one.
int64_t steps_for(double budget, double cost_of_step);

/// A warning where the steps that a stage takes are far from those that make it as long as
/// `stage`, since it takes whole ones, and one at least; empty otherwise.
std::string match_doubt(const std::string& stage, double asked, int64_t taken);

/// Whether stages of a kind train a pretext task.
bool trains_pretext(const std::string& kind);

/// Throws Error(input) where the stage cannot be as long as that one: it trains no pretext task, or
/// nothing tells the speed by which seconds become steps.
void check_match(const Pipeline& pipeline, const Stage& stage);

/// What the results of a stage say of how its length was found.
nlohmann::json match_record(const MatchOptions& options, const TrainingCost& matched,
                            const TrainingCost& parent, double budget);

}  // namespace bissl::host
