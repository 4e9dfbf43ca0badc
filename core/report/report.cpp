#include "report/report.h"

#include "report/analysis.h"
#include "report/escaping.h"
#include "report/learnt.h"
#include "report/pooled.h"
#include "report/sections.h"
#include "report/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace bissl::host {
namespace {

std::string signed_number(double value) { return (value >= 0 ? "+" : "") + number_text(value); }

std::string interval(const Estimate& estimate) {
  return estimate.half
             ? fmt::format("{} … {}", number_text(*estimate.low()), number_text(*estimate.high()))
             : "–";
}

/// The interval's ends, for people together and for CSV one by one.
ReportCell interval_cell(const Estimate& estimate) {
  return {interval(estimate), {estimate.low(), estimate.high()}};
}

void add_interval(ReportTable& table) {
  table.columns.push_back({"95 % interval", ReportColumn::Kind::interval});
}

std::string p_text(double p) {
  return p < 0.001 ? fmt::format("{:.1e}", p) : fmt::format("{:.3f}", p);
}

std::string tip_of(const std::string& label, const Estimate& estimate) {
  std::string text =
      fmt::format("{}\nmean {} of {}", label, number_text(estimate.mean), estimate.count);
  if (estimate.half) {
    text += fmt::format("\n95 % interval {}\nstandard deviation {}", interval(estimate),
                        number_text(*estimate.std));
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

/// Whether cells differ in more than their task.
bool has_settings(const ReportData& data) {
  return std::any_of(data.axes.begin(), data.axes.end(),
                     [](const ReportAxis& axis) { return !axis.is_tasks; });
}

bool is_baseline(const ReportData& data, const std::vector<size_t>& choices) {
  for (size_t i = 0; i < data.axes.size(); ++i) {
    if (!data.axes[i].is_tasks && choices.at(i) != data.axes[i].baseline) {
      return false;
    }
  }
  return has_settings(data);
}

ReportSection cells_section(const ReportData& data, const std::vector<CellSummary>& cells) {
  ReportSection section;
  section.title = "Cells";
  section.paragraphs.push_back(
      fmt::format("Repetitions are {}. The interval is Student's, at 95 %, over the repetitions.",
                  data.repetitions));
  if (data.higher_is_better) {
    section.paragraphs.back() += fmt::format(
        " {} of {} is better.", *data.higher_is_better ? "More" : "Less", data.metrics.front());
  }
  if (std::all_of(cells.begin(), cells.end(),
                  [](const CellSummary& cell) { return cell.values.size() < 2; })) {
    section.notes.emplace_back(
        "There is one repetition of each cell, so there are no intervals and no tests.");
  }
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
    table.name = i == 0 ? "cells" : file_name_part("cells-" + data.metrics[i]);
    add_axis_columns(table, data);
    add_columns(table, {"n", data.metrics[i], "std"});
    add_interval(table);
    for (const CellSummary& cell : cells) {
      const auto found = cell.metrics.find(data.metrics[i]);
      if (found == cell.metrics.end()) {
        continue;
      }
      std::vector<ReportCell> row = axis_cells(data, cell.choices);
      row.push_back(count_cell(found->second.count));
      row.push_back(number_cell(found->second.mean));
      row.push_back(number_cell(found->second.std));
      row.push_back(interval_cell(found->second));
      table.rows.push_back(std::move(row));
    }
    section.tables.push_back(std::move(table));
  }
  if (rows.empty()) {
    section.notes.push_back(
        fmt::format("No cell has a result of {}, so there is nothing to draw or to compare.",
                    data.metrics.front()));
    return section;
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
  if (number_of == 0 || squares == 0) {
    return "";  // differences that do not spread say nothing of others
  }
  const double std = std::sqrt(squares / number_of);
  return fmt::format(
      "With {} pairs, and differences that spread as they do here, a true difference of {} would "
      "be found in four of five such studies (paired t-test, 5 %).",
      pairs, number_text(detectable_difference(std, pairs)));
}

void add_comparison_columns(ReportTable& table, const std::string& difference) {
  add_columns(table, {"pairs", difference});
  add_interval(table);
  add_columns(table, {"p", "adjusted"});
}

std::vector<ReportCell> comparison_cells(const Comparison& comparison) {
  const Estimate& difference = comparison.difference;
  return {count_cell(difference.count),
          number_cell(difference.mean, signed_number(difference.mean)), interval_cell(difference),
          number_cell(comparison.test.p, p_text(comparison.test.p)),
          number_cell(comparison.adjusted, p_text(comparison.adjusted))};
}

/// Cells that have results and could have been compared, but for want of pairs.
std::vector<std::string> labels_without_pairs(const ReportData& data,
                                              const std::vector<CellSummary>& cells,
                                              std::optional<Comparison> CellSummary::*which) {
  std::vector<std::string> labels;
  for (const CellSummary& cell : cells) {
    const bool is_other = which == &CellSummary::to_reference || !is_baseline(data, cell.choices);
    if (is_other && !cell.values.empty() && !(cell.*which)) {
      labels.push_back(data.label(cell.choices));
    }
  }
  return labels;
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
  add_comparison_columns(table, "difference");
  std::vector<IntervalRow> rows;
  std::vector<const Comparison*> all;
  for (const CellSummary& cell : cells) {
    const std::optional<Comparison>& comparison = cell.*which;
    if (!comparison) {
      continue;
    }
    all.push_back(&*comparison);
    std::vector<ReportCell> row = axis_cells(data, cell.choices);
    const std::vector<ReportCell> numbers = comparison_cells(*comparison);
    row.insert(row.end(), numbers.begin(), numbers.end());
    table.rows.push_back(std::move(row));
    rows.push_back(
        row_of(data.label(cell.choices), comparison->difference, comparison->differences, false));
  }
  const std::vector<std::string> alone = labels_without_pairs(data, cells, which);
  if (all.empty()) {
    section.notes.push_back(
        cells.size() < 2 && which == &CellSummary::to_baseline
            ? "There is one cell only: nothing to compare it with."
            : "Left out: no repetition has a result on both sides of the comparison.");
    return section;
  }
  if (!alone.empty()) {
    section.notes.push_back(fmt::format(
        "Left out, as none of their repetitions has a result on both sides of the comparison: {}.",
        fmt::join(alone, "; ")));
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

/// The cells of a table's row behind the mean, where there is no effect to show.
std::vector<ReportCell> cells_without_effect(const std::string& words) {
  const ReportCell none("", {std::nullopt});
  return {none, ReportCell(words, {std::nullopt}), ReportCell("", {std::nullopt, std::nullopt}),
          none, none};
}

/// What effects_section leaves out of an axis.
void add_effect_notes(const ReportAxis& axis, const AxisEffects& effects, ReportSection& section) {
  for (size_t label = 0; label < axis.labels.size(); ++label) {
    const std::string name = axis.name + " = " + axis.labels[label];
    const auto found = std::find_if(
        effects.labels.begin(), effects.labels.end(),
        [&](const MarginalEffect& effect) { return effect.label == axis.labels[label]; });
    if (found == effects.labels.end()) {
      section.notes.push_back(fmt::format("Left out: no cell with {} has a result.", name));
    } else if (label != axis.baseline && !found->effect) {
      section.notes.push_back(fmt::format(
          "{} has no effect: no repetition has it and the baseline {} in cells that are equal "
          "otherwise.",
          name, axis.labels[axis.baseline]));
    }
  }
}

void add_axis_effects(const ReportAxis& axis, const AxisEffects& effects, ReportTable& table,
                      std::vector<IntervalRow>& rows) {
  rows.push_back({.label = axis.name,
                  .points = {},
                  .mean = {},
                  .low = {},
                  .high = {},
                  .tip = "",
                  .baseline = false,
                  .heading = true});
  for (const MarginalEffect& effect : effects.labels) {
    const bool baseline = effect.label == axis.labels[axis.baseline];
    std::vector<ReportCell> row = {axis.name, effect.label, number_cell(effect.mean.mean)};
    const std::vector<ReportCell> numbers =
        effect.effect ? comparison_cells(*effect.effect)
                      : cells_without_effect(baseline ? "baseline" : "no pairs");
    row.insert(row.end(), numbers.begin(), numbers.end());
    table.rows.push_back(std::move(row));
    rows.push_back(row_of(effect.label, effect.mean, {}, baseline));
  }
}

ReportSection effects_section(const ReportData& data) {
  ReportSection section;
  section.title = "Effect of each axis";
  ReportTable table;
  table.name = "effects";
  table.columns = {{"axis"}, {"label"}};
  add_columns(table, {"mean"});
  add_comparison_columns(table, "effect");
  std::vector<IntervalRow> rows;
  std::vector<const Comparison*> all;
  const std::vector<AxisEffects> effects = marginal_effects(data);
  for (const AxisEffects& one : effects) {
    const auto axis = std::find_if(data.axes.begin(), data.axes.end(),
                                   [&](const ReportAxis& other) { return other.name == one.axis; });
    add_axis_effects(*axis, one, table, rows);
    add_effect_notes(*axis, one, section);
    for (const MarginalEffect& effect : one.labels) {
      if (effect.effect) {
        all.push_back(&*effect.effect);
      }
    }
  }
  if (table.rows.empty()) {
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

}  // namespace

Report build_report(const ReportData& data) {
  Report report;
  report.title = data.title;
  const std::vector<CellSummary> cells = summarise(data);
  const auto add = [&](ReportSection section) {
    if (!section.tables.empty() || !section.plots.empty() || !section.images.empty() ||
        !section.notes.empty()) {
      report.sections.push_back(std::move(section));
    }
  };
  if (data.observations.empty()) {
    add(missing_section(data));
    return report;
  }
  add(verdict_section(data, pooled_results(data)));
  add(cells_section(data, cells));
  if (!data.reference.empty()) {
    add(comparison_section(data, cells, &CellSummary::to_reference, "reference",
                           "Against the reference",
                           fmt::format("{} minus {}, within each repetition of a cell.",
                                       data.metrics.front(), data.reference)));
  }
  std::vector<std::string> baseline;
  for (const ReportAxis& axis : data.axes) {
    baseline.push_back(axis.is_tasks ? "the same " + axis.name
                                     : axis.name + " = " + axis.labels.at(axis.baseline));
  }
  if (data.axes.empty() || has_settings(data)) {
    add(comparison_section(data, cells, &CellSummary::to_baseline, "baseline",
                           "Against the baseline cell",
                           fmt::format("{} minus that of the cell with {}, paired by repetition.",
                                       data.metrics.front(), fmt::join(baseline, ", "))));
  }
  if (data.axes.size() > 1) {
    add(effects_section(data));
  }
  if (!data.chosen.empty()) {
    add(chosen_section(data));
  }
  for (ReportSection& section : learnt_sections(data)) {
    add(std::move(section));
  }
  add(bilevel_section(data));
  add(curves_section(data));
  if (!data.stages.empty()) {
    add(cost_section(data));
  }
  if (!data.missing.empty()) {
    add(missing_section(data));
  }
  if (!data.failed_draws.empty()) {
    add(failed_draws_section(data));
  }
  return report;
}

ReportTable observations_table(const ReportData& data) {
  ReportTable table;
  table.name = "runs";
  add_axis_columns(table, data);
  table.columns.push_back({"repetition"});
  std::vector<std::string> metrics = data.metrics;
  // The reference may be one of the metrics.
  if (!data.reference.empty() &&
      std::find(metrics.begin(), metrics.end(), data.reference) == metrics.end()) {
    metrics.push_back(data.reference);
  }
  add_columns(table, metrics);
  table.columns.push_back({"folder"});
  for (const Observation& observation : data.observations) {
    std::vector<ReportCell> row = axis_cells(data, observation.choices);
    row.emplace_back(observation.repetition);
    for (const std::string& metric : metrics) {
      const auto found = observation.metrics.find(metric);
      row.push_back(number_cell(found == observation.metrics.end() ? std::nullopt
                                                                   : std::optional(found->second)));
    }
    row.emplace_back(observation.folder.string());
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace bissl::host
