#include "stages/finetune/validation.h"

#include "bissl/error.h"
#include "models/evaluation_guard.h"
#include "stages/finetune/parts.h"
#include "stages/option_schemas.h"
#include "stages/session.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace bissl::host {
namespace {

const Schema<ValidateOptions>& validate_schema() {
  static const Schema<ValidateOptions> schema = [] {
    Schema<ValidateOptions> s;
    add_data(s, &ValidateOptions::data,
             "data source to validate on, apart from the training's and from what is scored in the "
             "end; its targets are the training's");
    s.add("batch", &ValidateOptions::batch, "most samples that are scored at once")
        .at_least(1)
        .unit("samples");
    s.add("every", &ValidateOptions::every, "steps between validations; the last step has one too")
        .required()
        .at_least(1)
        .unit("steps");
    s.add("metric", &ValidateOptions::metric,
          "the metric of the downstream task by which the best weights are chosen")
        .required();
    s.add("patience", &ValidateOptions::patience,
          "end the training after this many validations in a row that are no better than the best; "
          "0: train all steps")
        .at_least(0)
        .unit("validations");
    return s;
  }();
  return schema;
}

const MetricInfo& find_metric(const std::vector<MetricInfo>& metrics, const std::string& name) {
  const auto found = std::find_if(metrics.begin(), metrics.end(),
                                  [&](const MetricInfo& metric) { return metric.name == name; });
  if (found == metrics.end()) {
    std::vector<std::string> names;
    for (const MetricInfo& metric : metrics) {
      names.push_back(metric.name);
    }
    fail_input("validate.metric: the downstream task has no metric \"{}\"; it has \"{}\"", name,
               fmt::join(names, "\", \""));
  }
  return *found;
}

}  // namespace

ValidateOptions parse_validate(const Table& table) { return validate_schema().parse(table.values); }

TableSpec validate_table() {
  TableSpec table = table_of(validate_schema());
  table.augment = one_view();
  return table;
}

std::optional<ScoredSource> validated_source(const Stage& stage) {
  if (!stage.table.has_table("validate")) {
    return std::nullopt;
  }
  const Table& table = stage.table.table("validate");
  const ValidateOptions options = parse_validate(table);
  return ScoredSource{.path = "validate.",
                      .data = options.data,
                      .augment = table.augment(),
                      .batch = options.batch};
}

Validation::Validation(const StageContext& context, const BatchSource& training, Backbone& backbone,
                       Downstream& downstream)
    : context_(context),
      options_(parse_validate(context.stage.table.table("validate"))),
      batches_(test_batches(context, *validated_source(context.stage), training)),
      backbone_(backbone),
      downstream_(downstream),
      best_({{"backbone", &backbone.module()}, {"head", &downstream.module()}},
            find_metric(downstream.metric_info(), options_.metric).higher_is_better) {}

void Validation::keep(Session& session) {
  best_.keep(session, "best");
  session.keep(
      "validation",
      [this] {
        return nlohmann::json{{"last_step", last_step_}, {"not_better", not_better_}};
      },
      [this](const nlohmann::json& saved) {
        last_step_ = saved.at("last_step").get<int64_t>();
        not_better_ = saved.at("not_better").get<int64_t>();
      });
}

bool Validation::is_due(int64_t done, int64_t steps) const {
  return done % options_.every == 0 || done == steps;
}

int64_t Validation::count(int64_t steps) const {
  return steps / options_.every + (steps % options_.every == 0 ? 0 : 1);
}

nlohmann::json Validation::score(int64_t done) {
  const EvaluationGuard guard({}, 0);  // the generator is put back
  const std::vector<MetricResult> results =
      host::score(context_, options_.data, batches_, batches_->batches(), backbone_, downstream_);
  nlohmann::json event = nlohmann::json::object();
  double value = std::nan("");
  for (const MetricResult& result : results) {
    event[result.metric] = number_or_null(result.values.front());
    if (result.metric == options_.metric) {
      value = result.values.front();
    }
  }
  last_step_ = done;
  not_better_ = best_.offer(value, done) ? 0 : not_better_ + 1;
  return event;
}

bool Validation::is_over() const {
  return options_.patience > 0 && not_better_ >= options_.patience;
}

void Validation::put_best() const { best_.put(); }

nlohmann::json Validation::report() const {
  return {{"data", options_.data},
          {"metric", options_.metric},
          {"best", number_or_null(best_.value())},
          {"best_step", best_.step()},
          {"steps", last_step_}};
}

}  // namespace bissl::host
