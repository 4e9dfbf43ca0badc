#include "report/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <set>

namespace bissl::host {
namespace {

/// A number of a bissl stage's results; none where they do not have it, as older ones.
std::optional<double> bilevel_figure(const nlohmann::json& details,
                                     std::initializer_list<const char*> path) {
  const nlohmann::json* at = &details;
  for (const char* name : path) {
    const auto found = at->is_object() ? at->find(name) : at->end();
    if (!at->is_object() || found == at->end()) {
      return std::nullopt;
    }
    at = &*found;
  }
  return at->is_number() ? std::optional(at->get<double>()) : std::nullopt;
}

}  // namespace

ReportSection bilevel_section(const ReportData& data) {
  ReportSection section;
  section.title = "Bilevel stages";
  section.paragraphs.push_back(
      "What each bissl stage did, once for each time that it was computed. The losses of the upper "
      "level are means over the first and the last round; ln K is the loss of a head that gives "
      "all classes the same probability. ‖u‖ is divided by the norm of the pretext gradient, the "
      "displacement of θ_P by that of the stage before. The share of solves is of the time of all "
      "lower and upper steps.");
  const bool repeated =
      std::any_of(data.stages.begin(), data.stages.end(),
                  [](const StageTiming& stage) { return !stage.repetition.empty(); });
  ReportTable table;
  table.name = "bilevel";
  add_axis_columns(table, data);
  if (repeated) {
    table.columns.push_back({"repetition"});
  }
  table.columns.push_back({"stage"});
  add_columns(table, {"upper loss, first", "last", "ln K", "‖u‖/pretext", "shortened steps",
                      "displacement ratio", "λ chosen", "upper lr chosen", "products a step",
                      "solves, share of time"});
  std::set<std::string> keys;
  for (const StageTiming& stage : data.stages) {
    if (!stage.bilevel.is_object() || !keys.insert(stage.key).second) {
      continue;
    }
    const nlohmann::json& details = stage.bilevel;
    std::vector<ReportCell> row = axis_cells(data, stage.choices);
    if (repeated) {
      row.emplace_back(stage.repetition);
    }
    row.emplace_back(stage.stage);
    for (const std::initializer_list<const char*> path :
         {std::initializer_list<const char*>{"upper_loss", "first_round"},
          {"upper_loss", "last_round"},
          {"upper_loss", "constant_head"},
          {"balance", "u_over_pretext_gradient"},
          {"balance", "shortened_steps"},
          {"balance", "displacement_ratio"},
          {"lambda", "chosen"},
          {"upper_rate", "rate"},
          {"solves", "hessian_products_of_a_step", "mean"},
          {"solves", "share_of_time"}}) {
      row.push_back(number_cell(bilevel_figure(details, path)));
    }
    table.rows.push_back(std::move(row));
    const auto warnings = details.find("warnings");
    if (warnings == details.end() || !warnings->is_array()) {
      continue;
    }
    for (const nlohmann::json& warning : *warnings) {
      if (warning.is_string()) {
        section.notes.push_back(fmt::format(
            "Warning, {} ({}{}{}): {}", stage.stage, data.label(stage.choices),
            stage.repetition.empty() ? "" : ", ", stage.repetition, warning.get<std::string>()));
      }
    }
  }
  if (!table.rows.empty()) {
    section.tables.push_back(std::move(table));
  }
  return section;
}

}  // namespace bissl::host
