#include "sweep/state.h"

#include "bissl/error.h"
#include "pipeline/metric_name.h"
#include "stages/runner.h"
#include "store/atomic_file.h"
#include "store/checkpoint.h"
#include "store/posix_file.h"
#include "store/run_folder.h"
#include "text/json_text.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace bissl {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t most_bytes = 1 << 20;

std::optional<nlohmann::json> read_json(const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    return std::nullopt;
  }
  try {
    nlohmann::json json = nlohmann::json::parse(read_whole(file, most_bytes), nullptr, false);
    return json.is_object() ? std::optional(std::move(json)) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // removed by another process at this moment
  }
}

void write_json(const fs::path& file, const nlohmann::json& json) {
  make_folder(file.parent_path());
  write_file_atomically(file, json_text(json, 2) + "\n");
}

/// Changes whenever the stage gets further: the moment of its last checkpoint and of its last
/// finished repeat.
std::string progress_of(const fs::path& stage_folder) {
  std::error_code ignored;
  std::string progress;
  for (fs::recursive_directory_iterator walk(stage_folder, ignored), end; walk != end;
       walk.increment(ignored)) {
    const std::string name = walk->path().filename().string();
    if (name == checkpoint_file || name == "results.json") {
      progress +=
          fmt::format("{}:{};", walk->path().string(),
                      fs::last_write_time(walk->path(), ignored).time_since_epoch().count());
    }
  }
  return progress;
}

}  // namespace

const char* to_string(WorkState state) {
  switch (state) {
    case WorkState::waiting:
      return "waiting";
    case WorkState::running:
      return "running";
    case WorkState::stale:
      return "stale";
    case WorkState::done:
      return "done";
    case WorkState::failed:
      return "failed";
  }
  return "";
}

SweepState::SweepState(const SweepPlan& plan, StageStore& store, fs::path folder)
    : plan_(plan), store_(store), folder_(std::move(folder)) {}

fs::path SweepState::state_file(const std::string& key, const char* what) const {
  return folder_ / "state" / (key + "." + what);
}

WorkState SweepState::node(const std::string& key) {
  if (done_.count(key) != 0) {
    return WorkState::done;
  }
  if (store_.contains(key)) {
    done_.insert(key);
    return WorkState::done;
  }
  if (store_.is_running(key)) {
    return WorkState::running;
  }
  if (failure_above(key)) {
    return WorkState::failed;
  }
  return store_.is_begun(key) ? WorkState::stale : WorkState::waiting;
}

WorkState SweepState::cell(const PlanCell& cell) {
  std::set<WorkState> states;
  const std::vector<size_t> needed = units(cell);
  for (const size_t unit : needed) {
    const bool is_trial =
        std::find(cell.trials.begin(), cell.trials.end(), unit) != cell.trials.end();
    for (const auto& [stage, key] : plan_.units[unit].stages) {
      const WorkState state = node(key);
      // A draw that fails is one that is not chosen.
      states.insert(is_trial && state == WorkState::failed ? WorkState::done : state);
    }
  }
  if (!cell.unit && needed.size() == cell.trials.size()) {
    const auto settled = [&](size_t unit) { return is_settled(unit); };
    const bool chosen = selection(cell).has_value();
    const bool all = std::all_of(cell.trials.begin(), cell.trials.end(), settled);
    states.insert(chosen ? WorkState::done : all ? WorkState::failed : WorkState::waiting);
  }
  for (const WorkState state : {WorkState::failed, WorkState::running, WorkState::stale}) {
    if (states.count(state) != 0) {
      return state;
    }
  }
  return states.count(WorkState::waiting) != 0 ? WorkState::waiting : WorkState::done;
}

bool SweepState::is_done(const PlanCell& cell) {
  std::optional<size_t> unit = cell.unit;
  if (!unit) {
    const std::optional<Selection> chosen = selection(cell);
    if (!chosen) {
      return false;
    }
    unit = cell.finals.at(chosen->draw);
  }
  const auto& stages = plan_.units[*unit].stages;
  return std::all_of(stages.begin(), stages.end(),
                     [&](const auto& stage) { return node(stage.second) == WorkState::done; });
}

std::vector<size_t> SweepState::units(const PlanCell& cell) {
  if (cell.unit) {
    return {*cell.unit};
  }
  std::vector<size_t> needed = cell.trials;
  if (const std::optional<Selection> chosen = selection(cell)) {
    const size_t final = cell.finals.at(chosen->draw);
    if (std::find(needed.begin(), needed.end(), final) == needed.end()) {
      needed.push_back(final);
    }
  }
  return needed;
}

std::vector<const PlanNode*> SweepState::wanted() {
  std::set<std::string> keys;
  for (const PlanCell& cell : plan_.cells) {
    for (const size_t unit : units(cell)) {
      for (const auto& [stage, key] : plan_.units[unit].stages) {
        keys.insert(key);
      }
    }
  }
  std::vector<const PlanNode*> nodes;
  for (const PlanNode& node : plan_.nodes) {
    if (keys.count(node.key) != 0) {
      nodes.push_back(&node);
    }
  }
  return nodes;
}

bool SweepState::is_settled(size_t unit) {
  const auto& stages = plan_.units[unit].stages;
  return std::all_of(stages.begin(), stages.end(), [&](const auto& stage) {
    const WorkState state = node(stage.second);
    return state == WorkState::done || state == WorkState::failed;
  });
}

std::optional<double> SweepState::trial_score(size_t unit) {
  nlohmann::json stages = nlohmann::json::object();
  for (const auto& [stage, key] : plan_.units[unit].stages) {
    if (node(key) != WorkState::done) {
      return std::nullopt;
    }
    if (plan_.node(key).kind == "finetune") {
      const std::optional<fs::path> folder = store_.find(key);
      if (!folder) {
        forget_done(key);  // it is damaged
        return std::nullopt;
      }
      stages[stage] = read_stage_results(*folder);
    }
  }
  return metric_of(stages, plan_.select);
}

std::optional<Selection> SweepState::selection(const PlanCell& cell) {
  const auto known = selections_.find(cell.id);
  if (known != selections_.end()) {
    return known->second;
  }
  for (const size_t unit : cell.trials) {
    if (!is_settled(unit)) {
      return std::nullopt;
    }
  }
  Selection selection;
  std::optional<double> best;
  for (size_t draw = 0; draw < cell.trials.size(); ++draw) {
    const std::optional<double> score = trial_score(cell.trials[draw]);
    if (!is_settled(cell.trials[draw])) {
      return std::nullopt;
    }
    selection.scores.push_back(score);
    if (score && (!best || (plan_.select_maximise ? *score > *best : *score < *best))) {
      best = score;
      selection.draw = draw;
    }
  }
  const std::optional<Selection> result = best ? std::optional(selection) : std::nullopt;
  if (result) {
    selections_[cell.id] = result;
  }
  return result;
}

void SweepState::record_failure(const Failure& failure) {
  write_json(state_file(failure.key, "failed"), {{"stage", failure.stage},
                                                 {"cell", failure.cell},
                                                 {"cause", failure.cause},
                                                 {"input", failure.input}});
}

std::optional<Failure> SweepState::failure(const std::string& key) const {
  const std::optional<nlohmann::json> json = read_json(state_file(key, "failed"));
  if (!json) {
    return std::nullopt;
  }
  return Failure{.key = key,
                 .stage = json->value("stage", ""),
                 .cell = json->value("cell", ""),
                 .cause = json->value("cause", ""),
                 .input = json->value("input", false)};
}

std::optional<Failure> SweepState::failure_above(const std::string& key) const {
  for (std::string at = key; !at.empty(); at = plan_.node(at).parent) {
    if (done_.count(at) != 0) {
      return std::nullopt;
    }
    if (std::optional<Failure> found = failure(at)) {
      return found;
    }
  }
  return std::nullopt;
}

std::vector<Failure> SweepState::failures() const {
  std::vector<Failure> found;
  for (const PlanNode& node : plan_.nodes) {
    if (done_.count(node.key) == 0) {
      if (std::optional<Failure> one = failure(node.key)) {
        found.push_back(std::move(*one));
      }
    }
  }
  return found;
}

void SweepState::forget_failures() {
  for (const PlanNode& node : plan_.nodes) {
    ::unlink(state_file(node.key, "failed").c_str());
    ::unlink(state_file(node.key, "attempts").c_str());
  }
}

int64_t SweepState::begin_attempt(const std::string& key, const fs::path& stage_folder) {
  const fs::path file = state_file(key, "attempts");
  const nlohmann::json before = read_json(file).value_or(nlohmann::json::object());
  const std::string progress = progress_of(stage_folder);
  const int64_t attempts =
      before.value("progress", "") == progress ? before.value("attempts", int64_t{0}) : 0;
  write_json(file, {{"attempts", attempts + 1}, {"progress", progress}, {"process", getpid()}});
  return attempts;
}

void SweepState::end_attempt(const std::string& key) {
  ::unlink(state_file(key, "attempts").c_str());
}

void SweepState::note_end(int64_t process, const std::string& how) {
  for (const PlanNode& node : plan_.nodes) {
    const std::optional<nlohmann::json> attempt = read_json(state_file(node.key, "attempts"));
    if (attempt && attempt->value("process", int64_t{0}) == process) {
      write_json(state_file(node.key, "end"), {{"how", how}});
    }
  }
}

std::string SweepState::last_end(const std::string& key) const {
  const std::optional<nlohmann::json> end = read_json(state_file(key, "end"));
  return end ? end->value("how", "") : "";
}

double SweepState::seconds_of(const std::string& key) {
  const std::optional<fs::path> folder = store_.find(key);
  return folder ? read_stage_results(*folder).value("seconds", 0.0) : 0.0;
}

fs::path SweepState::cell_folder(const PlanCell& cell) const { return folder_ / "cells" / cell.id; }

bool SweepState::write_cell(const PlanCell& cell) {
  if (written_.count(cell.id) != 0) {
    return true;
  }
  const std::optional<Selection> chosen = cell.unit ? std::nullopt : selection(cell);
  const PlanUnit& unit = plan_.units[cell.unit ? *cell.unit : cell.finals[chosen->draw]];
  nlohmann::json stages = nlohmann::json::object();
  std::map<std::string, fs::path> folders;
  for (const auto& [stage, key] : unit.stages) {
    const std::optional<fs::path> folder = store_.find(key);
    if (!folder) {
      forget_done(key);
      return false;
    }
    folders[stage] = *folder;
    stages[stage] = read_stage_results(*folder);
    stages[stage]["key"] = key;
    const std::string& parent = plan_.node(key).parent;
    const auto from = std::find_if(unit.stages.begin(), unit.stages.end(),
                                   [&](const auto& other) { return other.second == parent; });
    stages[stage]["from"] = from == unit.stages.end() ? "" : from->first;
  }
  nlohmann::json results = {{"pipeline", plan_.name},
                            {"seed", cell.seed},
                            {"stages", stages},
                            {"cell", {{"id", cell.id}, {"axes", plan_.labels(cell)}}}};
  if (chosen) {
    nlohmann::json scores = nlohmann::json::array();
    for (const std::optional<double>& score : chosen->scores) {
      scores.push_back(score ? nlohmann::json(*score) : nlohmann::json(nullptr));
    }
    results["search"] = {{"select", plan_.select},
                         {"chosen", chosen->draw},
                         {"values", plan_.draws.at(chosen->draw)},
                         {"scores", scores}};
  }
  if (read_json(cell_folder(cell) / "results.json") != results) {
    const RunFolder run(folder_ / "cells", cell.id);
    run.write_lock(unit.lock);
    for (const auto& [stage, folder] : folders) {
      run.link_stage(stage, folder);
    }
    run.write_results(results);
  }
  written_.insert(cell.id);
  return true;
}

std::chrono::nanoseconds pause_after(std::chrono::nanoseconds look) {
  return std::max<std::chrono::nanoseconds>(std::chrono::milliseconds(200), 10 * look);
}

namespace {

/// The summary of a metric "STAGE.DATA.METRIC"; null if there is none.
nlohmann::json summary_of(const nlohmann::json& stages, const std::string& metric) {
  const std::optional<MetricName> name = parse_metric(metric);
  if (!name) {
    return nullptr;
  }
  const nlohmann::json::json_pointer place =
      nlohmann::json::json_pointer() / name->stage / "metrics" / name->data / name->metric;
  return stages.contains(place) ? stages.at(place) : nlohmann::json(nullptr);
}

}  // namespace

std::optional<double> metric_of(const nlohmann::json& stages, const std::string& metric) {
  const nlohmann::json summary = summary_of(stages, metric);
  if (!summary.is_object() || !summary.contains("mean") || !summary["mean"].is_number()) {
    return std::nullopt;
  }
  const auto value = summary["mean"].get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::string reason_of(const nlohmann::json& stages, const std::string& metric) {
  const nlohmann::json summary = summary_of(stages, metric);
  if (!summary.is_object() || !summary.contains(not_finite_key)) {
    return "";
  }
  return summary[not_finite_key].value("mean", "");
}

}  // namespace bissl
