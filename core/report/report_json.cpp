#include "report/analysis.h"
#include "report/learnt_figures.h"
#include "report/pooled.h"
#include "report/report.h"
#include "report/verdict.h"

namespace bissl::host {
namespace {

nlohmann::json to_json(const Estimate& estimate) {
  const auto optional = [](const std::optional<double>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  };
  return {{"n", estimate.count},
          {"mean", estimate.mean},
          {"std", optional(estimate.std)},
          {"low", optional(estimate.low())},
          {"high", optional(estimate.high())}};
}

nlohmann::json to_json(const std::optional<Comparison>& comparison) {
  if (!comparison) {
    return nullptr;
  }
  nlohmann::json json = to_json(comparison->difference);
  json["differences"] = comparison->differences;
  json["p"] = comparison->test.p;
  json["exact"] = comparison->test.exact;
  json["adjusted_p"] = comparison->adjusted;
  return json;
}

nlohmann::json to_json(const PooledComparison& one) {
  const auto optional = [](const std::optional<double>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  };
  nlohmann::json tasks = nlohmann::json::array();
  for (const TaskDifference& task : one.tasks) {
    tasks.push_back(to_json(task.difference));
    tasks.back()["task"] = task.task;
    tasks.back()["differences"] = task.differences;
    tasks.back()["p"] = task.test.p;
  }
  const PooledDifference& difference = one.difference;
  return {{"arm", one.arm.label},
          {"against", one.against.label},
          {"tasks", tasks},
          {"pairs", difference.pairs},
          {"mean", difference.mean},
          {"low", optional(difference.low())},
          {"high", optional(difference.high())},
          {"over_tasks",
           difference.over_tasks ? to_json(*difference.over_tasks) : nlohmann::json(nullptr)},
          {"p", one.test.p},
          {"exact", one.test.exact},
          {"adjusted_p", one.adjusted},
          {"left_out", one.left_out},
          {"unpaired", one.unpaired},
          {"seconds", optional(one.seconds)},
          {"seconds_against", optional(one.seconds_against)}};
}

nlohmann::json axes_json(const ReportData& data, const std::vector<size_t>& choices) {
  nlohmann::json axes = nlohmann::json::object();
  for (size_t i = 0; i < data.axes.size(); ++i) {
    axes[data.axes[i].name] = data.axes[i].labels.at(choices.at(i));
  }
  return axes;
}

nlohmann::json run_axes_json(const ReportData& data, const std::vector<size_t>& choices) {
  nlohmann::json axes = nlohmann::json::object();
  for (size_t i = 0; i < choices.size(); ++i) {
    axes[data.axes[i].name] = data.axes[i].labels.at(choices[i]);
  }
  return axes;
}

nlohmann::json figures_json(const ReportData& data, const Learnt& learnt,
                            const LearntFigures& figures) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [place, figure] : figures) {
    nlohmann::json stages = nlohmann::json::object();
    for (const std::string& stage : learnt.stages) {
      if (const std::optional<Estimate> found = figure.of_stage(stage)) {
        stages[stage] = to_json(*found);
      }
    }
    list.push_back(
        {{"axes", run_axes_json(data, place.first)},
         {"figure", place.second},
         {"higher_is_better", figure.higher_is_better ? nlohmann::json(*figure.higher_is_better)
                                                      : nlohmann::json(nullptr)},
         {"stages", stages}});
  }
  return list;
}

/// What stages of kind "analyse" have found; null where there is none.
nlohmann::json learnt_json(const ReportData& data) {
  const Learnt learnt = gather_learnt(data);
  if (learnt.stages.empty()) {
    return nullptr;
  }
  nlohmann::json differences = nlohmann::json::array();
  for (const LearntComparison& comparison : compare_learnt(learnt)) {
    for (const LearntDifference& one : comparison.differences) {
      nlohmann::json& json = differences.emplace_back(to_json(one.difference));
      json["stage"] = comparison.stage;
      json["reference"] = learnt.reference;
      json["axes"] = run_axes_json(data, one.choices);
      json["figure"] = one.figure;
      json["higher_is_better"] = one.higher_is_better;
      json["p"] = one.test.p;
      json["adjusted_p"] = one.adjusted ? nlohmann::json(*one.adjusted) : nlohmann::json(nullptr);
    }
  }
  return {{"arms", learnt.arms},
          {"reference", learnt.reference},
          {"figures", figures_json(data, learnt, learnt.figures)},
          {"levels", figures_json(data, learnt, learnt.levels)},
          {"differences", differences}};
}

}  // namespace

nlohmann::json report_json(const ReportData& data, const Report& report) {
  nlohmann::json cells = nlohmann::json::array();
  for (const CellSummary& cell : summarise(data)) {
    nlohmann::json metrics = nlohmann::json::object();
    for (const auto& [name, value] : cell.metrics) {
      metrics[name] = to_json(value);
    }
    cells.push_back({{"axes", axes_json(data, cell.choices)},
                     {"metrics", metrics},
                     {"to_baseline", to_json(cell.to_baseline)},
                     {"to_reference", to_json(cell.to_reference)}});
  }
  nlohmann::json effects = nlohmann::json::object();
  for (const AxisEffects& axis : marginal_effects(data)) {
    for (const MarginalEffect& effect : axis.labels) {
      effects[axis.axis][effect.label] = {{"mean", to_json(effect.mean)},
                                          {"effect", to_json(effect.effect)}};
    }
  }
  nlohmann::json missing = nlohmann::json::array();
  for (const MissingCell& cell : data.missing) {
    missing.push_back({{"cell", cell.id},
                       {"cause", cell.cause},
                       {"axes", cell.axes},
                       {"seed", cell.seed},
                       {"failures", cell.failures}});
  }
  nlohmann::json failed_draws = nlohmann::json::array();
  for (const FailedDraw& draw : data.failed_draws) {
    failed_draws.push_back(draw.failure);
    failed_draws.back()["cell"] = draw.cell;
  }
  nlohmann::json left_out = nlohmann::json::array();
  for (const ReportSection& section : report.sections) {
    for (const std::string& note : section.notes) {
      left_out.push_back({{"section", section.title}, {"note", note}});
    }
  }
  const PooledResults pooled = pooled_results(data);
  nlohmann::json comparisons = nlohmann::json::array();
  for (const PooledComparison& one : pooled.comparisons) {
    comparisons.push_back(to_json(one));
  }
  const nlohmann::json direction =
      data.higher_is_better ? nlohmann::json(*data.higher_is_better) : nlohmann::json(nullptr);
  return {{"title", data.title},
          {"metrics", data.metrics},
          {"higher_is_better", direction},
          {"reference", data.reference},
          {"verdict", verdict(data, pooled)},
          {"pooled", comparisons},
          {"cells", cells},
          {"effects", effects},
          {"learnt", learnt_json(data)},
          {"missing", missing},
          {"failed_draws", failed_draws},
          {"left_out", left_out}};
}

}  // namespace bissl::host
