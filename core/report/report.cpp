#include "report/report.h"

#include "report/analysis.h"
#include "report/curves.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace bissl {
namespace {

std::string number(double value) {
  const double size = std::abs(value);
  return size != 0 && (size < 5e-5 || size >= 1e5) ? fmt::format("{:.3g}", value)
                                                   : fmt::format("{:.4f}", value);
}

std::string number(const std::optional<double>& value) { return value ? number(*value) : "–"; }

std::string signed_number(double value) { return (value >= 0 ? "+" : "") + number(value); }

std::string interval(const Estimate& estimate) {
  return estimate.half ? fmt::format("{} … {}", number(*estimate.low()), number(*estimate.high()))
                       : "–";
}

std::string p_text(double p) {
  return p < 0.001 ? fmt::format("{:.1e}", p) : fmt::format("{:.3f}", p);
}

std::string tip_of(const std::string& label, const Estimate& estimate) {
  std::string text = fmt::format("{}\nmean {} of {}", label, number(estimate.mean), estimate.count);
  if (estimate.half) {
    text += fmt::format("\n95 % interval {}\nstandard deviation {}", interval(estimate),
                        number(*estimate.std));
  }
  return text;
}

IntervalRow row_of(const std::string& label, const Estimate& estimate,
                   const std::vector<double>& points, bool baseline) {
  return {.label = label,
          .points = points,
          .mean = estimate.mean,
          .low = estimate.low(),
          .high = estimate.high(),
          .tip = tip_of(label, estimate),
          .baseline = baseline,
          .heading = false};
}

void add_axis_columns(ReportTable& table, const ReportData& data) {
  for (const ReportAxis& axis : data.axes) {
    table.columns.push_back(axis.name);
    table.numbers.push_back(false);
  }
}

std::vector<std::string> axis_cells(const ReportData& data, const std::vector<size_t>& choices) {
  std::vector<std::string> cells;
  for (size_t i = 0; i < data.axes.size(); ++i) {
    cells.push_back(data.axes[i].labels.at(choices.at(i)));
  }
  return cells;
}

bool is_baseline(const ReportData& data, const std::vector<size_t>& choices) {
  for (size_t i = 0; i < data.axes.size(); ++i) {
    if (choices.at(i) != data.axes[i].baseline) {
      return false;
    }
  }
  return !data.axes.empty();
}

void add_columns(ReportTable& table, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    table.columns.push_back(name);
    table.numbers.push_back(true);
  }
}

ReportSection cells_section(const ReportData& data, const std::vector<CellSummary>& cells) {
  ReportSection section;
  section.title = "Cells";
  section.paragraphs.push_back(
      fmt::format("Repetitions are {}. The interval is Student's, at 95 %, over the repetitions.",
                  data.replicates));
  std::vector<IntervalRow> rows;
  for (const CellSummary& cell : cells) {
    const auto first = cell.metrics.find(data.metrics.front());
    if (first != cell.metrics.end()) {
      rows.push_back(row_of(data.label(cell.choices), first->second, cell.values,
                            is_baseline(data, cell.choices)));
    }
  }
  for (size_t i = 0; i < data.metrics.size(); ++i) {
    ReportTable table;
    table.name = i == 0 ? "cells" : "cells-" + data.metrics[i];
    add_axis_columns(table, data);
    add_columns(table, {"n", data.metrics[i], "std", "95 % interval"});
    for (const CellSummary& cell : cells) {
      const auto found = cell.metrics.find(data.metrics[i]);
      if (found == cell.metrics.end()) {
        continue;
      }
      std::vector<std::string> row = axis_cells(data, cell.choices);
      row.push_back(fmt::format("{}", found->second.count));
      row.push_back(number(found->second.mean));
      row.push_back(number(found->second.std));
      row.push_back(interval(found->second));
      table.rows.push_back(std::move(row));
    }
    section.tables.push_back(std::move(table));
  }
  section.plots.push_back(
      interval_plot("cells", fmt::format("{} of each cell", data.metrics.front()),
                    data.metrics.front() + ": dots are repetitions, squares means, lines 95 % "
                                           "intervals",
                    rows, false));
  return section;
}

/// What a table of comparisons says of its test.
std::string test_text(const std::vector<const Comparison*>& comparisons) {
  double least = 1;
  bool exact = true;
  for (const Comparison* comparison : comparisons) {
    least = std::min(least, comparison->test.least);
    exact = exact && comparison->test.exact;
  }
  return fmt::format(
      "p is two-sided, from {}: how often chance signs of the paired differences give a mean as "
      "far from 0. With as many pairs as here it cannot be less than {}. \"adjusted\" is Holm's, "
      "for all rows of a table.",
      exact ? "all sign patterns" : "100 000 random sign patterns", p_text(least));
}

/// What differences these comparisons could have seen; empty where that is not known.
std::string power_text(const std::vector<const Comparison*>& comparisons) {
  double squares = 0;
  double number_of = 0;
  int64_t pairs = 0;
  for (const Comparison* comparison : comparisons) {
    if (comparison->difference.std) {
      squares += *comparison->difference.std * *comparison->difference.std;
      number_of += 1;
      pairs = std::max(pairs, comparison->difference.count);
    }
  }
  if (number_of == 0) {
    return "";
  }
  const double std = std::sqrt(squares / number_of);
  return fmt::format(
      "With {} pairs, and differences that spread as they do here, a true difference of {} would "
      "be found in four of five such studies (paired t-test, 5 %).",
      pairs, number(detectable_difference(std, pairs)));
}

std::vector<std::string> comparison_cells(const Comparison& comparison) {
  return {fmt::format("{}", comparison.difference.count), signed_number(comparison.difference.mean),
          interval(comparison.difference), p_text(comparison.test.p), p_text(comparison.adjusted)};
}

/// Comparisons of cells: with the baseline, or with the reference.
ReportSection comparison_section(const ReportData& data, const std::vector<CellSummary>& cells,
                                 std::optional<Comparison> CellSummary::*which,
                                 const std::string& name, const std::string& title,
                                 const std::string& words) {
  ReportSection section;
  section.title = title;
  ReportTable table;
  table.name = name;
  add_axis_columns(table, data);
  add_columns(table, {"pairs", "difference", "95 % interval", "p", "adjusted"});
  std::vector<IntervalRow> rows;
  std::vector<const Comparison*> all;
  for (const CellSummary& cell : cells) {
    const std::optional<Comparison>& comparison = cell.*which;
    if (!comparison) {
      continue;
    }
    all.push_back(&*comparison);
    std::vector<std::string> row = axis_cells(data, cell.choices);
    const std::vector<std::string> numbers = comparison_cells(*comparison);
    row.insert(row.end(), numbers.begin(), numbers.end());
    table.rows.push_back(std::move(row));
    rows.push_back(
        row_of(data.label(cell.choices), comparison->difference, comparison->differences, false));
  }
  if (all.empty()) {
    return section;
  }
  section.paragraphs = {words, test_text(all)};
  if (const std::string power = power_text(all); !power.empty()) {
    section.paragraphs.push_back(power);
  }
  section.plots.push_back(interval_plot(name, title, "difference in " + data.metrics.front(), rows,
                                        /*zero=*/true));
  section.tables.push_back(std::move(table));
  return section;
}

ReportSection effects_section(const ReportData& data) {
  ReportSection section;
  section.title = "Effect of each axis";
  ReportTable table;
  table.name = "effects";
  table.columns = {"axis", "label"};
  table.numbers = {false, false};
  add_columns(table, {"mean", "pairs", "effect", "95 % interval", "p", "adjusted"});
  std::vector<IntervalRow> rows;
  std::vector<const Comparison*> all;
  const std::vector<AxisEffects> effects = marginal_effects(data);
  for (const AxisEffects& axis : effects) {
    rows.push_back({.label = axis.axis,
                    .points = {},
                    .mean = {},
                    .low = {},
                    .high = {},
                    .tip = "",
                    .baseline = false,
                    .heading = true});
    for (const MarginalEffect& effect : axis.labels) {
      std::vector<std::string> row = {axis.axis, effect.label, number(effect.mean.mean)};
      if (effect.effect) {
        all.push_back(&*effect.effect);
        const std::vector<std::string> numbers = comparison_cells(*effect.effect);
        row.insert(row.end(), numbers.begin(), numbers.end());
      } else {
        row.insert(row.end(), {"", "baseline", "", "", ""});
      }
      table.rows.push_back(std::move(row));
      rows.push_back(row_of(effect.label, effect.mean, {}, !effect.effect.has_value()));
    }
  }
  if (effects.empty()) {
    return section;
  }
  section.paragraphs.push_back(
      "The mean of all cells with a label, and its difference from the axis' baseline label: for "
      "each repetition the mean difference over the cells that both labels have, then their mean "
      "and interval over the repetitions.");
  if (!all.empty()) {
    section.paragraphs.push_back(test_text(all));
  }
  section.plots.push_back(interval_plot("effects", "Mean of each label over everything else",
                                        data.metrics.front(), rows, false));
  section.tables.push_back(std::move(table));
  return section;
}

ReportSection curves_section(const ReportData& data) {
  ReportSection section;
  section.title = "Learning curves";
  for (const CurveGroup& group : learning_curves(data)) {
    std::vector<Line> lines;
    lines.reserve(group.curves.size());
    for (const Curve& curve : group.curves) {
      lines.push_back({curve.label, curve.steps, curve.values});
    }
    const std::string loss = group.loss == "loss" ? "loss" : group.loss + " loss";
    section.plots.push_back(line_plot("curve-" + group.stage + "-" + group.loss,
                                      fmt::format("{}: {}", group.stage, loss), "step", loss,
                                      lines));
  }
  if (!section.plots.empty()) {
    section.paragraphs.push_back(
        "Training losses over the steps of each stage, the mean over repetitions. Stages that "
        "cells share are drawn once.");
  }
  return section;
}

/// Seconds and memory of one cell's stage, over its repetitions.
struct StageCost {
  std::vector<double> seconds;
  double memory = 0;
};

ReportSection cost_section(const ReportData& data) {
  std::vector<std::string> names;
  std::map<std::vector<size_t>, std::map<std::string, StageCost>> costs;
  std::map<std::string, std::map<std::string, double>> computed;  // stage → key → seconds
  double all_uses = 0;
  std::map<std::string, StageCost> by_stage;
  for (const StageTiming& stage : data.stages) {
    if (std::find(names.begin(), names.end(), stage.stage) == names.end()) {
      names.push_back(stage.stage);
    }
    StageCost& cost = costs[stage.choices][stage.stage];
    cost.seconds.push_back(stage.seconds);
    cost.memory = std::max(cost.memory, stage.peak_memory_bytes);
    StageCost& whole = by_stage[stage.stage];
    whole.memory = std::max(whole.memory, stage.peak_memory_bytes);
    all_uses += stage.seconds;
    computed[stage.stage].emplace(stage.key, stage.seconds);
  }
  ReportSection section;
  section.title = "Time and memory";
  ReportTable stages;
  stages.name = "stages";
  stages.columns = {"stage"};
  stages.numbers = {false};
  add_columns(stages, {"computed", "used", "seconds each", "std", "seconds in all", "peak MB"});
  double total = 0;
  std::set<std::string> seen;
  for (const std::string& name : names) {
    std::vector<double> seconds;
    for (const auto& [key, value] : computed[name]) {
      seconds.push_back(value);
      total += seen.insert(key).second ? value : 0;
    }
    const Estimate each = estimate(seconds);
    const auto uses = std::count_if(data.stages.begin(), data.stages.end(),
                                    [&](const StageTiming& one) { return one.stage == name; });
    const double memory = by_stage[name].memory;
    stages.rows.push_back({name, fmt::format("{}", seconds.size()), fmt::format("{}", uses),
                           fmt::format("{:.1f}", each.mean),
                           each.std ? fmt::format("{:.1f}", *each.std) : "–",
                           fmt::format("{:.0f}", each.mean * static_cast<double>(each.count)),
                           memory > 0 ? fmt::format("{:.0f}", memory / 1e6) : "–"});
  }
  ReportTable cells;
  cells.name = "seconds";
  add_axis_columns(cells, data);
  for (const std::string& name : names) {
    add_columns(cells, {name});
  }
  add_columns(cells, {"all", "peak MB"});
  std::vector<BarRow> bars;
  for (const auto& [choices, of_cell] : costs) {
    std::vector<std::string> row = axis_cells(data, choices);
    BarRow bar{data.label(choices), {}};
    double sum = 0;
    double memory = 0;
    for (const std::string& name : names) {
      const auto found = of_cell.find(name);
      const double mean = found == of_cell.end() ? 0 : estimate(found->second.seconds).mean;
      row.push_back(found == of_cell.end() ? "–" : fmt::format("{:.1f}", mean));
      bar.parts.push_back(mean);
      sum += mean;
      memory = found == of_cell.end() ? memory : std::max(memory, found->second.memory);
    }
    row.push_back(fmt::format("{:.1f}", sum));
    row.push_back(memory > 0 ? fmt::format("{:.0f}", memory / 1e6) : "–");
    cells.rows.push_back(std::move(row));
    bars.push_back(std::move(bar));
  }
  section.paragraphs.push_back(fmt::format(
      "{:.0f} seconds of computing went into these results; {:.0f} if every cell had computed all "
      "of its stages. Memory is the highest resident memory of the process during the stage, the "
      "program and the data included.",
      total, all_uses));
  section.plots.push_back(
      bar_plot("seconds", "Seconds of each cell's stages", "seconds", names, bars));
  section.tables = {std::move(stages), std::move(cells)};
  return section;
}

ReportSection chosen_section(const ReportData& data) {
  ReportSection section;
  section.title = "Chosen draws";
  section.paragraphs.push_back(
      fmt::format("The draw of each cell's search with the best {}; draws are counted from 0.",
                  data.selected_by));
  ReportTable table;
  table.name = "draws";
  add_axis_columns(table, data);
  table.columns.emplace_back("repetition");
  table.numbers.push_back(false);
  add_columns(table, {"draw", data.selected_by});
  for (const auto& [key, value] : data.chosen.front().values) {
    add_columns(table, {key});
  }
  for (const ChosenDraw& chosen : data.chosen) {
    std::vector<std::string> row = axis_cells(data, chosen.choices);
    row.push_back(chosen.replicate);
    row.push_back(fmt::format("{}", chosen.draw));
    row.push_back(number(chosen.score));
    for (const auto& [key, value] : chosen.values) {
      row.push_back(value);
    }
    table.rows.push_back(std::move(row));
  }
  section.tables.push_back(std::move(table));
  return section;
}

ReportSection missing_section(const ReportData& data) {
  ReportSection section;
  section.title = "Missing cells";
  section.paragraphs.push_back("These cells have no result and are in none of the figures.");
  ReportTable table{"missing", {"cell", "cause"}, {false, false}, {}};
  for (const MissingCell& cell : data.missing) {
    table.rows.push_back({cell.id, cell.cause});
  }
  section.tables.push_back(std::move(table));
  return section;
}

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

nlohmann::json axes_json(const ReportData& data, const std::vector<size_t>& choices) {
  nlohmann::json axes = nlohmann::json::object();
  for (size_t i = 0; i < data.axes.size(); ++i) {
    axes[data.axes[i].name] = data.axes[i].labels.at(choices.at(i));
  }
  return axes;
}

}  // namespace

Report build_report(const ReportData& data) {
  Report report;
  report.title = data.title;
  const std::vector<CellSummary> cells = summarise(data);
  const auto add = [&](ReportSection section) {
    if (!section.tables.empty() || !section.plots.empty()) {
      report.sections.push_back(std::move(section));
    }
  };
  add(cells_section(data, cells));
  if (!data.reference.empty()) {
    add(comparison_section(data, cells, &CellSummary::to_reference, "reference",
                           "Against the reference",
                           fmt::format("{} minus {}, within each repetition of a cell.",
                                       data.metrics.front(), data.reference)));
  }
  std::vector<std::string> baseline;
  for (const ReportAxis& axis : data.axes) {
    baseline.push_back(axis.name + " = " + axis.labels.at(axis.baseline));
  }
  add(comparison_section(data, cells, &CellSummary::to_baseline, "baseline",
                         "Against the baseline cell",
                         fmt::format("{} minus that of the cell with {}, paired by repetition.",
                                     data.metrics.front(), fmt::join(baseline, ", "))));
  if (data.axes.size() > 1) {
    add(effects_section(data));
  }
  if (!data.chosen.empty()) {
    add(chosen_section(data));
  }
  add(curves_section(data));
  if (!data.stages.empty()) {
    add(cost_section(data));
  }
  if (!data.missing.empty()) {
    add(missing_section(data));
  }
  return report;
}

nlohmann::json report_json(const ReportData& data) {
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
    missing.push_back({{"cell", cell.id}, {"cause", cell.cause}});
  }
  return {{"title", data.title}, {"metrics", data.metrics}, {"reference", data.reference},
          {"cells", cells},      {"effects", effects},      {"missing", missing}};
}

ReportTable observations_table(const ReportData& data) {
  ReportTable table;
  table.name = "runs";
  add_axis_columns(table, data);
  table.columns.emplace_back("repetition");
  std::vector<std::string> metrics = data.metrics;
  if (!data.reference.empty()) {
    metrics.push_back(data.reference);
  }
  table.columns.insert(table.columns.end(), metrics.begin(), metrics.end());
  table.columns.emplace_back("folder");
  table.numbers.resize(table.columns.size());
  for (const Observation& observation : data.observations) {
    std::vector<std::string> row = axis_cells(data, observation.choices);
    row.push_back(observation.replicate);
    for (const std::string& metric : metrics) {
      const auto found = observation.metrics.find(metric);
      row.push_back(found == observation.metrics.end() ? "" : fmt::format("{}", found->second));
    }
    row.push_back(observation.folder.string());
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace bissl
