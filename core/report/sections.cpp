#include "report/sections.h"

#include "report/curves.h"
#include "report/escaping.h"
#include "report/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace bissl::host {

std::string number_text(double value) {
  const double size = std::abs(value);
  return size != 0 && (size < 5e-5 || size >= 1e5) ? fmt::format("{:.3g}", value)
                                                   : fmt::format("{:.4f}", value);
}

std::string number_text(const std::optional<double>& value) {
  return value ? number_text(*value) : "–";
}

void add_axis_columns(ReportTable& table, const ReportData& data) {
  for (const ReportAxis& axis : data.axes) {
    table.columns.push_back({axis.name});
  }
}

std::vector<ReportCell> axis_cells(const ReportData& data, const std::vector<size_t>& choices) {
  std::vector<ReportCell> cells;
  for (size_t i = 0; i < data.axes.size(); ++i) {
    cells.emplace_back(data.axes[i].labels.at(choices.at(i)));
  }
  return cells;
}

void add_columns(ReportTable& table, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    table.columns.push_back({name, ReportColumn::Kind::number});
  }
}

ReportCell number_cell(const std::optional<double>& value) { return {number_text(value), {value}}; }

ReportCell number_cell(double value, std::string words) { return {std::move(words), {value}}; }

ReportCell count_cell(int64_t count) {
  return {fmt::format("{}", count), {static_cast<double>(count)}};
}

ReportSection curves_section(const ReportData& data) {
  ReportSection section;
  section.title = "Learning curves";
  std::set<std::string> drawn;
  for (const CurveGroup& group : learning_curves(data)) {
    drawn.insert(group.stage);
    std::vector<Line> lines;
    lines.reserve(group.curves.size());
    for (const Curve& curve : group.curves) {
      lines.push_back({curve.label, curve.steps, curve.values});
    }
    const std::string loss = group.loss == "loss" ? "loss" : group.loss + " loss";
    section.plots.push_back(line_plot(file_name_part("curve-" + group.stage + "-" + group.loss),
                                      fmt::format("{}: {}", group.stage, loss), "step", loss,
                                      lines));
  }
  if (!section.plots.empty()) {
    section.paragraphs.push_back(
        "Training losses over the steps of each stage, the mean over repetitions. Stages that "
        "cells share are drawn once.");
  }
  for (const MissingLogs& missing : missing_logs(data)) {
    drawn.insert(missing.stage);
    section.notes.push_back(fmt::format(
        "{} of {} curves of {} are left out: there is no events.jsonl in {}. A run folder links to "
        "the stages in the store beside it (.store); where only the folder was copied or the store "
        "was pruned, its curves are gone.",
        missing.without, missing.stages, missing.stage, missing.example.string()));
  }
  for (const StageTiming& stage : data.stages) {
    if (!stage.logs.empty() && drawn.insert(stage.stage).second) {
      section.notes.push_back(fmt::format(
          "There is no curve of {}: its events.jsonl has no finite loss.", stage.stage));
    }
  }
  return section;
}

namespace {

/// Seconds and memory of a stage, over repetitions.
struct StageCost {
  std::vector<double> seconds;
  double memory = 0;

  void add(const StageTiming& stage) {
    seconds.push_back(stage.seconds);
    memory = std::max(memory, stage.peak_memory_bytes);
  }
};

ReportCell megabytes(double bytes) {
  return bytes > 0 ? number_cell(bytes / 1e6, fmt::format("{:.0f}", bytes / 1e6))
                   : number_cell(std::nullopt);
}

ReportCell seconds(double value) { return number_cell(value, fmt::format("{:.1f}", value)); }

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// The stages' names in the order of their first appearance.
std::vector<std::string> stage_names(const ReportData& data) {
  std::vector<std::string> names;
  for (const StageTiming& stage : data.stages) {
    if (std::find(names.begin(), names.end(), stage.stage) == names.end()) {
      names.push_back(stage.stage);
    }
  }
  return names;
}

/// A row for each stage: how often it was computed and used, and what that took.
ReportTable stages_table(const ReportData& data, const std::vector<std::string>& names) {
  ReportTable table{"stages", {{"stage"}}, {}};
  add_columns(table, {"computed", "used", "seconds each", "std", "seconds in all", "peak MB"});
  for (const std::string& name : names) {
    StageCost computed;
    std::set<std::string> keys;
    int64_t uses = 0;
    for (const StageTiming& stage : data.stages) {
      if (stage.stage == name) {
        ++uses;
        if (keys.insert(stage.key).second) {
          computed.add(stage);
        }
      }
    }
    const Estimate each = estimate(computed.seconds);
    table.rows.push_back(
        {name, count_cell(each.count), count_cell(uses), seconds(each.mean),
         each.std ? seconds(*each.std) : number_cell(std::nullopt),
         number_cell(each.mean * static_cast<double>(each.count),
                     fmt::format("{:.0f}", each.mean * static_cast<double>(each.count))),
         megabytes(computed.memory)});
  }
  return table;
}

/// The mean seconds of each cell's stages, as a table and as bars.
void add_cells_cost(const ReportData& data, const std::vector<std::string>& names,
                    ReportSection& section) {
  std::map<std::vector<size_t>, std::map<std::string, StageCost>> costs;
  for (const StageTiming& stage : data.stages) {
    costs[stage.choices][stage.stage].add(stage);
  }
  ReportTable table{"seconds", {}, {}};
  add_axis_columns(table, data);
  add_columns(table, names);
  add_columns(table, {"all", "peak MB"});
  std::vector<BarRow> bars;
  for (const auto& [choices, of_cell] : costs) {
    std::vector<ReportCell> row = axis_cells(data, choices);
    BarRow bar{data.label(choices), {}};
    double sum = 0;
    double memory = 0;
    for (const std::string& name : names) {
      const auto found = of_cell.find(name);
      const bool has = found != of_cell.end();
      const double mean = has ? estimate(found->second.seconds).mean : 0;
      row.push_back(has ? seconds(mean) : number_cell(std::nullopt));
      bar.parts.push_back(mean);
      sum += mean;
      memory = std::max(memory, has ? found->second.memory : 0.0);
    }
    row.push_back(seconds(sum));
    row.push_back(megabytes(memory));
    table.rows.push_back(std::move(row));
    bars.push_back(std::move(bar));
  }
  section.tables.push_back(std::move(table));
  section.plots.push_back(
      bar_plot("seconds", "Seconds of each cell's stages", "seconds", names, bars));
}

}  // namespace

ReportSection cost_section(const ReportData& data) {
  double computed = 0;
  double used = 0;
  std::set<std::string> keys;
  for (const StageTiming& stage : data.stages) {
    used += stage.seconds;
    computed += keys.insert(stage.key).second ? stage.seconds : 0;
  }
  ReportSection section;
  section.title = "Time and memory";
  section.paragraphs.push_back(fmt::format(
      "{:.0f} seconds of computing went into these results; {:.0f} if every cell had computed all "
      "of its stages.{} Memory is the highest resident memory of the process during the stage, the "
      "program and the data included.",
      computed, used,
      data.chosen.empty() ? "" : " Draws that only served to choose are not in it."));
  const std::vector<std::string> names = stage_names(data);
  section.tables.push_back(stages_table(data, names));
  add_cells_cost(data, names, section);
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
  table.columns.push_back({"repetition"});
  add_columns(table, {"draw", data.selected_by});
  for (const auto& [key, value] : data.chosen.front().values) {
    table.columns.push_back({key});
  }
  for (const ChosenDraw& chosen : data.chosen) {
    std::vector<ReportCell> row = axis_cells(data, chosen.choices);
    row.emplace_back(chosen.repetition);
    row.push_back(count_cell(static_cast<int64_t>(chosen.draw)));
    row.push_back(number_cell(chosen.score));
    for (const auto& [key, value] : chosen.values) {
      row.emplace_back(value);
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
  ReportTable table{"missing", {{"cell"}, {"cause"}}, {}};
  for (const MissingCell& cell : data.missing) {
    table.rows.push_back({cell.id, one_line(cell.cause)});
  }
  section.tables.push_back(std::move(table));
  return section;
}

ReportSection failed_draws_section(const ReportData& data) {
  ReportSection section;
  section.title = "Failed draws";
  section.paragraphs.push_back(
      "These draws of searches failed and were not chosen. Their cells have results.");
  ReportTable table{"failed-draws", {{"cell"}, {"cause"}}, {}};
  for (const FailedDraw& draw : data.failed_draws) {
    table.rows.push_back({draw.cell, one_line(draw.cause)});
  }
  section.tables.push_back(std::move(table));
  return section;
}

}  // namespace bissl::host
