#include "stages/match.h"

#include "base/spelling.h"
#include "bissl/error.h"
#include "pipeline/matched_stage.h"
#include "stages/option_schemas.h"
#include "stages/stage_kind.h"

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

constexpr const char* by_steps = "steps";
constexpr const char* by_gradients = "gradients";
constexpr const char* by_seconds = "seconds";

const Schema<MatchOptions>& match_schema() {
  static const Schema<MatchOptions> schema = [] {
    Schema<MatchOptions> s;
    s.add("stage", &MatchOptions::stage, "the stage that this one is to be as long as").required();
    s.add(
         "by", &MatchOptions::by,
         "what the two are to have in common: \"steps\" on the pretext loss, counted in images; "
         "\"gradients\", all passes of both levels, a Hessian product counted as two; \"seconds\", "
         "as that stage's run took, at the speed of its own steps on the pretext loss")
        .required()
        .choices({by_steps, by_gradients, by_seconds});
    return s;
  }();
  return schema;
}

/// Gradients of pretext images a second; 0 where nothing tells it.
double pretext_speed(const TrainingCost& matched, const TrainingCost& parent) {
  if (matched.pretext_seconds > 0) {
    return matched.images / matched.pretext_seconds;
  }
  return parent.seconds > 0 ? parent.gradient_images / parent.seconds : 0;
}

}  // namespace

bool trains_pretext(const std::string& kind) {
  const std::vector<std::string>& roles = stage_kind(kind).spec().hands_on;
  return std::find(roles.begin(), roles.end(), "pretext") != roles.end();
}

std::string match_doubt(const std::string& stage, double asked, int64_t taken) {
  constexpr double far = 0.1;
  return std::abs(static_cast<double>(taken) - asked) <= far * asked
             ? ""
             : fmt::format("match: {:.2g} steps make this stage as long as stage.{}; {} {} taken",
                           asked, spelled_key(stage), taken, taken == 1 ? "is" : "are");
}

SubtableSpec match_table() {
  return {match_key, table_of(match_schema()), false,
          "in the place of epochs or steps: as long as another stage"};
}

std::optional<MatchOptions> parse_match(const Table& stage) {
  if (!stage.has_table(match_key)) {
    return std::nullopt;
  }
  return match_schema().parse(stage.table(match_key).values);
}

void settle_lengths(Pipeline& pipeline) {
  for (Stage& stage : pipeline.stages) {
    stage_kind(stage.kind).settle(pipeline, stage);
    const std::optional<MatchOptions> match = parse_match(stage.table);
    if (!match || match->by != by_steps) {
      continue;
    }
    const Stage& other = pipeline.stage(match->stage);
    const std::optional<double> images = stage_kind(other.kind).pretext_images(other);
    if (!images) {
      continue;
    }
    stage.table.tables.erase(match_key);
    stage.table.values["steps"] = int64_t{1};
    const double images_of_step = *stage_kind(stage.kind).pretext_images(stage);
    const int64_t steps = steps_for(*images, images_of_step);
    stage.table.values["steps"] = steps;
    if (std::string doubt = match_doubt(match->stage, *images / images_of_step, steps);
        !doubt.empty()) {
      stage.doubts.push_back(std::move(doubt));
    }
  }
}

TrainingCost cost_of(const StageResults& results) {
  return {.images = results.details.value("images", 0.0),
          .gradient_images = results.details.value("gradient_images", 0.0),
          .seconds = results.seconds,
          .pretext_seconds = results.details.value("pretext_seconds", 0.0)};
}

void note_cost(nlohmann::json& details, const TrainingCost& cost) {
  details["images"] = std::llround(cost.images);
  details["gradient_images"] = std::llround(cost.gradient_images);
  if (cost.pretext_seconds > 0) {
    details["pretext_seconds"] = cost.pretext_seconds;
  }
}

double matched_budget(const MatchOptions& options, const TrainingCost& matched,
                      const TrainingCost& parent) {
  if (options.by == by_steps) {
    return matched.images;
  }
  const double by_time = matched.seconds * pretext_speed(matched, parent);
  return options.by == by_seconds && by_time > 0 ? by_time : matched.gradient_images;
}

int64_t steps_for(double budget, double cost_of_step) {
  const double steps = budget / cost_of_step;
  check_countable("match", steps, 1);
  return std::max<int64_t>(1, std::llround(steps));
}

void check_match(const Pipeline& pipeline, const Stage& stage) {
  const std::optional<MatchOptions> match = parse_match(stage.table);
  if (!match) {
    return;
  }
  const Stage& other = pipeline.stage(match->stage);
  if (!trains_pretext(other.kind)) {
    fail_input("match.stage: stage.{} is of kind \"{}\", which trains no pretext task; name a {}",
               spelled_key(other.name), other.kind, "pretrain or a bissl");
  }
  if (match->by == by_seconds &&
      (stage.from.empty() || !trains_pretext(pipeline.stage(stage.from).kind))) {
    fail_input(
        "match.by = \"seconds\" takes the speed of the stage that this one continues, which is to "
        "be a pretrain or a bissl; {}",
        stage.from.empty() ? std::string("there is none")
                           : fmt::format("stage.{} is of kind \"{}\"", spelled_key(stage.from),
                                         pipeline.stage(stage.from).kind));
  }
}

nlohmann::json match_record(const MatchOptions& options, const TrainingCost& matched,
                            const TrainingCost& parent, double budget) {
  nlohmann::json record = {{"stage", options.stage}, {"by", options.by}, {"budget", budget}};
  if (options.by == by_seconds) {
    record["seconds"] = matched.seconds;
    record["gradient_images_per_second"] = pretext_speed(matched, parent);
  }
  return record;
}

}  // namespace bissl::host
