#include "track/run_answers.h"

#include "base/posix_file.h"
#include "bissl/error.h"
#include "report/gather.h"
#include "report/report.h"
#include "telemetry/event_reader.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json finite(double value) { return std::isfinite(value) ? json(value) : json(); }

json metrics_of(const RunResults& results) {
  json list = json::array();
  for (const auto& [stage, of_stage] : results.stages) {
    for (const MetricResult& metric : of_stage.metrics) {
      list.push_back({{"name", stage + "." + metric.name()},
                      {"mean", metric.mean ? finite(*metric.mean) : json()}});
    }
  }
  return list;
}

std::string state_of(const TrackedRun& run) {
  const bool all_finished =
      std::all_of(run.logs.begin(), run.logs.end(), [](const RunLog& log) { return log.finished; });
  if (!all_finished) {
    return "running";
  }
  return run.results ? "done" : run.logs.empty() ? "waiting" : "running";
}

bool has_metrics(const RunResults& results) {
  return std::any_of(results.stages.begin(), results.stages.end(),
                     [](const auto& stage) { return !stage.second.metrics.empty(); });
}

const TrackedRun& find_run(const std::vector<TrackedRun>& runs, const std::string& name) {
  const auto found = std::find_if(runs.begin(), runs.end(),
                                  [&](const TrackedRun& run) { return run.name == name; });
  if (found == runs.end()) {
    fail_input("there is no run \"{}\"", name);
  }
  return *found;
}

}  // namespace

json runs_answer(const std::vector<TrackedRun>& runs) {
  json list = json::array();
  for (const TrackedRun& run : runs) {
    json logs = json::array();
    for (const RunLog& log : run.logs) {
      std::error_code error;
      const uint64_t bytes = fs::file_size(log.file, error);
      logs.push_back({{"name", log.name()}, {"stage", log.stage}, {"bytes", error ? 0 : bytes}});
    }
    list.push_back({{"name", run.name},
                    {"state", state_of(run)},
                    {"reported", run.results && has_metrics(*run.results)},
                    {"metrics", run.results ? metrics_of(*run.results) : json::array()},
                    {"logs", std::move(logs)}});
  }
  return list;
}

json events_answer(const std::vector<TrackedRun>& runs, const std::string& run,
                   const std::string& log, uint64_t position) {
  const TrackedRun& of_run = find_run(runs, run);
  const auto found = std::find_if(of_run.logs.begin(), of_run.logs.end(),
                                  [&](const RunLog& one) { return one.name() == log; });
  if (found == of_run.logs.end()) {
    fail_input("the run \"{}\" has no log \"{}\"", run, log);
  }
  const EventPart part = read_events(found->file, position);
  json events = json::array();
  for (const EventNumbers& event : part.events) {
    json values = json::object();
    for (const auto& [tag, value] : event.values) {
      values[tag] = finite(value);
    }
    events.push_back(json::array({event.step, std::move(values)}));
  }
  return {{"events", std::move(events)},
          {"position", part.position},
          {"restarted", part.restarted},
          {"more", part.more}};
}

std::string report_answer(const std::vector<TrackedRun>& runs,
                          const std::vector<std::string>& names) {
  if (names.empty()) {
    fail_input("name one run or several: report?run=NAME");
  }
  std::vector<fs::path> folders;
  std::set<fs::path> sweeps;
  for (const std::string& name : names) {
    const TrackedRun& run = find_run(runs, name);
    folders.push_back(run.folder);
    sweeps.insert(run.sweep);
  }
  if (sweeps.size() == 1 && !sweeps.begin()->empty()) {
    folders = {*sweeps.begin()};
  }
  const ReportData data = gather(folders, "");
  return to_html(build_report(data));
}

}  // namespace bissl::host
