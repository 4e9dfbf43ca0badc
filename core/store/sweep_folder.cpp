#include "store/sweep_folder.h"

#include "base/atomic_file.h"
#include "base/json_file.h"
#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "bissl/hash.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Whether there are these stages under these keys, and no others.
bool has_stages(const RunResults& results, const PlanUnit& unit) {
  return results.stages.size() == unit.stages.size() &&
         std::all_of(unit.stages.begin(), unit.stages.end(), [&](const auto& stage) {
           const auto found = results.stages.find(stage.first);
           return found != results.stages.end() && found->second.key == stage.second;
         });
}

}  // namespace

std::string trials_hash(const SweepPlan& plan, const PlanCell& cell) {
  json keys = json::array();
  for (const size_t unit : cell.trials) {
    keys.push_back(plan.units.at(unit).stages);
  }
  return hash_hex(keys.dump());
}

namespace {

/// Whether no draw has a better score than the one that was chosen.
bool is_best_chosen(const SearchResults& search) {
  const std::optional<double> chosen = search.scores.at(search.chosen);
  return chosen && std::none_of(search.scores.begin(), search.scores.end(),
                                [&](const std::optional<double>& score) {
                                  return score &&
                                         (search.maximise ? *score > *chosen : *score < *chosen);
                                });
}

}  // namespace

bool is_result_of(const RunResults& results, const SweepPlan& plan, const PlanCell& cell) {
  if (cell.unit) {
    return !results.search && has_stages(results, plan.units.at(*cell.unit));
  }
  const std::optional<SearchResults>& search = results.search;
  return search && search->select == plan.select && search->trials == trials_hash(plan, cell) &&
         search->goal == plan.select_maximise && search->chosen < cell.finals.size() &&
         search->scores.size() == cell.trials.size() && is_best_chosen(*search) &&
         has_stages(results, plan.units.at(cell.finals[search->chosen]));
}

SweepFolder::SweepFolder(const SweepPlan& plan, fs::path folder)
    : plan_(plan), path_(std::move(folder)) {}

fs::path SweepFolder::cell_folder(const PlanCell& cell) const { return path_ / "cells" / cell.id; }

fs::path SweepFolder::state_file(const std::string& key, const char* what) const {
  return path_ / "state" / (key + "." + what);
}

std::optional<RunResults> SweepFolder::results(const PlanCell& cell) const {
  std::optional<RunResults> results = run_results_if_there(cell_folder(cell));
  return results && is_result_of(*results, plan_, cell) ? std::move(results) : std::nullopt;
}

void SweepFolder::record(const Failure& failure) const {
  const fs::path file = state_file(failure.key, "failed");
  make_folder(file.parent_path());
  const json content = {{"stage", failure.stage},
                        {"cell", failure.cell},
                        {"cause", failure.cause},
                        {"input", failure.input}};
  write_file_atomically(file, json_text(content, 2) + "\n");
}

std::optional<Failure> SweepFolder::failure(const std::string& key) const {
  const fs::path file = state_file(key, "failed");
  const std::optional<json> content = read_json_if_there(file);
  if (!content) {
    return std::nullopt;
  }
  Failure failure{
      .key = key,
      .stage = text_at(*content, "stage"),
      .cell = text_at(*content, "cell"),
      .cause = text_at(*content, "cause"),
      .input = content->find("input") != content->end() && content->at("input") == true};
  if (failure.cause.empty()) {
    failure.cause = fmt::format("the cause is not known: {} holds none", file.string());
  }
  return failure;
}

namespace {

bool needs_any(const PlanNode& node, const std::vector<std::string>& keys) {
  const std::vector<std::string> needs = needed_by(node);
  return std::find_first_of(needs.begin(), needs.end(), keys.begin(), keys.end()) != needs.end();
}

}  // namespace

std::optional<CellFailure> SweepFolder::failure_of_unit(
    const PlanUnit& unit, const std::function<bool(const std::string&)>& is_done) const {
  std::optional<CellFailure> found;
  std::vector<std::string> stopped;  // keys
  for (const auto& [stage, key] : unit.stages) {
    if (!found) {
      if (!is_done(key)) {
        if (std::optional<Failure> failure = this->failure(key)) {
          failure->stage = stage;
          found = CellFailure{std::move(*failure), std::nullopt, {}};
          stopped.push_back(key);
        }
      }
    } else if (needs_any(plan_.node(key), stopped)) {
      found->children.push_back(stage);
      stopped.push_back(key);
    }
  }
  return found;
}

/// Draws that were run and cannot be chosen.
void SweepFolder::add_unscored(const PlanCell& cell, const Progress& progress,
                               std::vector<CellFailure>& failures) const {
  for (size_t draw = 0; draw < cell.trials.size(); ++draw) {
    const PlanUnit& unit = plan_.units.at(cell.trials[draw]);
    const bool run = std::all_of(unit.stages.begin(), unit.stages.end(),
                                 [&](const auto& stage) { return progress.is_done(stage.second); });
    if (run && !progress.has_score(unit)) {
      const auto& [stage, key] = unit.stages.back();
      failures.push_back(
          {.failure = {.key = key,
                       .stage = stage,
                       .cell = cell.id,
                       .cause = fmt::format("the draw cannot be chosen: its results have no "
                                            "finite {}",
                                            plan_.select)},
           .draw = draw,
           .children = {}});
    }
  }
}

std::vector<CellFailure> SweepFolder::failures(const PlanCell& cell,
                                               const Progress& progress) const {
  std::vector<CellFailure> found;
  if (cell.unit) {
    if (auto failure = failure_of_unit(plan_.units.at(*cell.unit), progress.is_done)) {
      found.push_back(std::move(*failure));
    }
    return found;
  }
  for (const auto* list : {&cell.trials, &cell.finals}) {
    for (size_t draw = 0; draw < list->size(); ++draw) {
      if (auto failure = failure_of_unit(plan_.units.at((*list)[draw]), progress.is_done)) {
        failure->draw = draw;
        found.push_back(std::move(*failure));
      }
    }
  }
  // What all draws share fails once, and not as any draw's own.
  const auto is_first = [&](const CellFailure& one) {
    return one.failure.key == found.front().failure.key;
  };
  if (found.size() >= cell.trials.size() && cell.trials.size() > 1 &&
      std::all_of(found.begin(), found.end(), is_first)) {
    found.resize(1);
    found.front().draw.reset();
  }
  // A draw's final run shares its stages with the trial: one failure, reported once.
  std::vector<CellFailure> once;
  for (CellFailure& failure : found) {
    const auto same = [&](const CellFailure& other) {
      return other.failure.key == failure.failure.key && other.draw == failure.draw;
    };
    if (std::none_of(once.begin(), once.end(), same)) {
      once.push_back(std::move(failure));
    }
  }
  if (!results(cell)) {
    add_unscored(cell, progress, once);
  }
  return once;
}

std::string failure_text(const SweepPlan& plan, const PlanCell& cell, const CellFailure& failure) {
  std::string details = plan.details_of(cell);
  if (failure.draw) {
    details += fmt::format("{}draw {}: {}", details.empty() ? "" : "; ", *failure.draw,
                           plan.draw_text(*failure.draw));
  }
  return fmt::format("{} failed{}: {}{}", failure.failure.stage,
                     details.empty() ? "" : fmt::format(" ({})", details), failure.failure.cause,
                     failure.children.empty()
                         ? ""
                         : fmt::format(" (needed by {})", fmt::join(failure.children, " and ")));
}

json failure_json(const SweepPlan& plan, const CellFailure& failure) {
  return {{"stage", failure.failure.stage},
          {"key", failure.failure.key},
          {"cause", failure.failure.cause},
          {"draw", failure.draw ? json(*failure.draw) : json(nullptr)},
          {"drawn", failure.draw ? plan.draws.at(*failure.draw) : json(nullptr)},
          {"stops", failure.children}};
}

}  // namespace bissl::host
