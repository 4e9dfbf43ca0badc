#include "track/mlflow.h"

#include "base/atomic_file.h"
#include "base/json_file.h"
#include "base/json_text.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "pipeline/run_names.h"
#include "report/run_difference.h"
#include "telemetry/event_reader.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// What MLflow takes at once, and of one entry.
constexpr size_t most_metrics = 1000;
constexpr size_t most_params = 100;
constexpr size_t longest_name = 250;
constexpr size_t longest_value = 500;

int64_t milliseconds(fs::file_time_type time) {
  const auto since = std::chrono::file_clock::to_sys(time).time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

int64_t changed_at(const fs::path& file) {
  std::error_code error;
  const fs::file_time_type time = fs::last_write_time(file, error);
  return error ? 0 : milliseconds(time);
}

/// Names may have letters, digits and "_-. /".
std::string name_of(std::string text) {
  for (char& c : text) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == ' ' ||
                         c == '/';
    c = allowed ? c : '_';
  }
  return text.substr(0, longest_name);
}

/// At most longest_value bytes, whole characters.
std::string value_of(std::string text) {
  size_t size = std::min(text.size(), longest_value);
  while (size < text.size() && size > 0 &&
         (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80) {
    --size;
  }
  return text.substr(0, size);
}

/// As JSON of protocol buffers has it.
json number(double value) {
  if (std::isfinite(value)) {
    return value;
  }
  return std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

void add_keys(const json& table, const std::string& prefix, json& params) {
  for (const auto& [key, value] : table.items()) {
    if (value.is_object()) {
      add_keys(value, prefix + key + ".", params);
    } else {
      const std::string text = value.is_string() ? value.get<std::string>() : json_text(value);
      params.push_back({{"key", name_of(prefix + key)}, {"value", value_of(text)}});
    }
  }
}

/// The object at a key; an empty one where there is none.
json object_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : json::object();
}

fs::path state_file(const TrackedRun& run) {
  return run.sweep.empty() ? run.folder / ".mlflow.json"
                           : run.sweep / ".mlflow" / (run.folder.filename().string() + ".json");
}

json stages_of(const TrackedRun& run) {
  json stages = json::object();
  for (const RunLog& log : run.logs) {
    stages[log.stage] = log.key;
  }
  return stages;
}

/// Whether a stage that was sent is another one by now.
bool has_changed(const json& state, const TrackedRun& run) {
  const json sent = state.value("stages", json::object());
  return std::any_of(run.logs.begin(), run.logs.end(), [&](const RunLog& log) {
    return sent.contains(log.stage) && sent.at(log.stage) != log.key;
  });
}

bool is_over(const TrackedRun& run) {
  return run.results && std::all_of(run.logs.begin(), run.logs.end(),
                                    [](const RunLog& log) { return log.finished; });
}

}  // namespace

MlflowExporter::MlflowExporter(const std::string& url, std::string experiment, int patience)
    : client_(url, patience), experiment_(std::move(experiment)) {}

json MlflowExporter::call(const std::string& path, const json& body) {
  const HttpClient::Answer answer = client_.post("/api/2.0/mlflow/" + path, body);
  if (answer.status != 200) {
    fail_run("MLflow at {} refuses {} (status {}): {}", client_.url(), path, answer.status,
             text_at(answer.body, "message"));
  }
  // A page to log in, of a server in between, has this status, too.
  if (!answer.is_json) {
    fail_run("{} answers {} with what is no answer of MLflow's: {}", client_.url(), path,
             text_at(answer.body, "message"));
  }
  return answer.body;
}

const std::string& MlflowExporter::experiment_id() {
  if (experiment_id_.empty()) {
    const HttpClient::Answer found = client_.get("/api/2.0/mlflow/experiments/get-by-name",
                                                 "experiment_name=" + url_encoded(experiment_));
    if (found.status >= 500) {
      fail_run("MLflow at {} fails (status {}): {}", client_.url(), found.status,
               text_at(found.body, "message"));
    }
    const json body = found.status == 200 ? object_at(found.body, "experiment")
                                          : call("experiments/create", {{"name", experiment_}});
    experiment_id_ = text_at(body, "experiment_id");
    if (experiment_id_.empty()) {
      fail_run("{} names no experiment in its answer: is it an MLflow server?", client_.url());
    }
  }
  return experiment_id_;
}

void MlflowExporter::log_batch(const json& state, const char* what, json entries) {
  call("runs/log-batch", {{"run_id", state.at("run_id")}, {what, std::move(entries)}});
}

void MlflowExporter::begin_run(const TrackedRun& run, json& state) {
  int64_t start = 0;
  for (const RunLog& log : run.logs) {
    const int64_t time = changed_at(log.file);
    start = start == 0 ? time : std::min(start, time);
  }
  json tags = json::array({{{"key", "mlflow.source.name"}, {"value", "bissl"}},
                           {{"key", "bissl.folder"}, {"value", run.folder.string()}}});
  if (!run.setting.empty()) {
    tags.push_back({{"key", "bissl.setting"}, {"value", run.setting}});
  }
  const json made = call("runs/create", {{"experiment_id", experiment_id()},
                                         {"run_name", run.name},
                                         {"start_time", start},
                                         {"tags", std::move(tags)}});
  const json info = object_at(object_at(made, "run"), "info");
  if (text_at(info, "run_id").empty()) {
    fail_run("{} names no run in its answer: is it an MLflow server?", client_.url());
  }
  state = {{"run_id", info.at("run_id")}, {"logs", json::object()}, {"stages", json::object()}};
}

void MlflowExporter::send_params(const TrackedRun& run, json& state) {
  std::error_code ignored;
  if (!fs::exists(run.folder / run_lock_file, ignored)) {
    return;
  }
  json params = json::array();
  add_keys(read_lock(run.folder), "", params);
  for (const auto& [axis, label] : run.axes) {
    params.push_back({{"key", name_of("axis/" + axis)}, {"value", value_of(label)}});
  }
  for (size_t begin = 0; begin < params.size(); begin += most_params) {
    json some = json::array();
    for (size_t i = begin; i < std::min(params.size(), begin + most_params); ++i) {
      some.push_back(params[i]);
    }
    log_batch(state, "params", std::move(some));
  }
  state["params"] = params.size();
}

void MlflowExporter::send_log(const RunLog& log, const fs::path& file, json& all, json& state,
                              Sent& sent) {
  json& of_log = state["logs"][log.name()];
  if (!of_log.is_object()) {
    of_log = {{"position", 0}, {"step", -1}};
  }
  const int64_t time = changed_at(log.file);
  for (bool more = true; more;) {
    const EventPart part = read_events_if_there(log.file, of_log.at("position").get<uint64_t>());
    json metrics = json::array();
    int64_t last = of_log.at("step").get<int64_t>();
    const auto send = [&] {
      if (!metrics.empty()) {
        const auto count = static_cast<int64_t>(metrics.size());
        log_batch(state, "metrics", std::move(metrics));
        metrics = json::array();
        sent.metrics += count;
        // The part is read again after an interruption, and its first steps are left out.
        of_log["step"] = last;
        write_file_atomically(file, json_text(all, 2));
      }
    };
    for (const EventNumbers& event : part.events) {
      if (event.step <= last) {
        continue;  // done again after an interruption
      }
      if (metrics.size() + event.values.size() > most_metrics) {
        send();
      }
      for (const auto& [tag, value] : event.values) {
        metrics.push_back({{"key", name_of(log.name() + "/" + tag)},
                           {"value", number(value)},
                           {"timestamp", time},
                           {"step", event.step}});
      }
      last = event.step;
    }
    send();
    if (part.position != of_log.at("position").get<uint64_t>()) {
      of_log = {{"position", part.position}, {"step", last}};
      write_file_atomically(file, json_text(all, 2));
    }
    more = part.more;
  }
}

void MlflowExporter::send_results(const TrackedRun& run, const fs::path& file, json& all,
                                  json& state, Sent& sent) {
  json metrics = json::array();
  for (const auto& [stage, results] : run.results->stages) {
    for (const MetricResult& metric : results.metrics) {
      const std::string name = name_of(stage + "." + metric.name());
      if (metric.mean && !state["scores"].contains(name)) {
        metrics.push_back({{"key", name},
                           {"value", number(*metric.mean)},
                           {"timestamp", changed_at(run.folder / run_results_file)},
                           {"step", 0}});
      }
    }
  }
  for (size_t begin = 0; begin < metrics.size(); begin += most_metrics) {
    json some = json::array();
    for (size_t i = begin; i < std::min(metrics.size(), begin + most_metrics); ++i) {
      some.push_back(metrics[i]);
    }
    const json taken = some;
    log_batch(state, "metrics", std::move(some));
    for (const json& metric : taken) {
      state["scores"][metric.at("key").get<std::string>()] = metric.at("value");
    }
    sent.metrics += static_cast<int64_t>(taken.size());
    write_file_atomically(file, json_text(all, 2));
  }
}

void MlflowExporter::send_run(const TrackedRun& run, Sent& sent) {
  if (run.logs.empty() && !run.results) {
    return;
  }
  const fs::path file = state_file(run);
  make_folder(file.parent_path());
  json all = read_json_if_there(file).value_or(json::object());
  json& state = all[client_.url() + " " + experiment_];
  if (!state.is_object() || has_changed(state, run)) {
    begin_run(run, state);
    write_file_atomically(file, json_text(all, 2));
  }
  ++sent.runs;
  if (!state.contains("params")) {
    send_params(run, state);
    write_file_atomically(file, json_text(all, 2));
  }
  for (const RunLog& log : run.logs) {
    send_log(log, file, all, state, sent);
  }
  const json stages = stages_of(run);
  if (state.at("stages") != stages) {
    json tags = json::array();
    for (const auto& [stage, key] : stages.items()) {
      tags.push_back({{"key", name_of("bissl.stage/" + stage)}, {"value", key}});
    }
    log_batch(state, "tags", std::move(tags));
    state["stages"] = stages;
  }
  if (run.results) {
    send_results(run, file, all, state, sent);
  }
  const char* status = is_over(run) ? "FINISHED" : "RUNNING";
  if (text_at(state, "status") != status) {
    json update = {{"run_id", state.at("run_id")}, {"status", status}};
    if (is_over(run)) {
      update["end_time"] = changed_at(run.folder / run_results_file);
    }
    call("runs/update", update);
    state["status"] = status;
  }
  write_file_atomically(file, json_text(all, 2));
}

MlflowExporter::Sent MlflowExporter::update(const std::vector<TrackedRun>& runs) {
  Sent sent;
  for (const TrackedRun& run : runs) {
    send_run(run, sent);
  }
  return sent;
}

}  // namespace bissl::host
