#pragma once

#include "track/http_client.h"
#include "track/runs.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

/// Sends runs to an MLflow server, by its REST interface (/api/2.0/mlflow): one run there for each
/// run here, in an experiment by name, which is made if there is none. It has
///
///     metrics  "STAGE/[PART/]TAG" by step, as read_events() gives them, and
///              "STAGE.DATA.METRIC", what stages were scored
///     params   the keys of pipeline.lock.toml, and a cell's axes as "axis/NAME"
///     tags     the folder, and the keys of the stages as "bissl.stage/NAME"
///
/// What was sent is noted in RUN/.mlflow.json, SWEEP/.mlflow/CELL.json for a cell: a later call
/// sends what is new, and no step twice. A run whose stages are other ones by now, because its
/// pipeline was edited, is a new run there. Without an answer to a batch, MLflow may get that batch
/// again.
class MlflowExporter {
 public:
  /// A server that says nothing for `patience` seconds (1 or more) does not answer. Throws
  /// Error(input) for what is no URL.
  MlflowExporter(const std::string& url, std::string experiment, int patience = 60);

  struct Sent {
    int64_t runs = 0;     ///< that have anything there
    int64_t metrics = 0;  ///< sent by this call
  };
  /// Throws Error(run), with the server's words, where it does not answer, refuses, or answers as
  /// no MLflow server does; what it had taken before is noted.
  Sent update(const std::vector<TrackedRun>& runs);

 private:
  nlohmann::json call(const std::string& path, const nlohmann::json& body);
  const std::string& experiment_id();
  void send_run(const TrackedRun& run, Sent& sent);
  void begin_run(const TrackedRun& run, nlohmann::json& state);
  void send_params(const TrackedRun& run, nlohmann::json& state);
  void send_log(const RunLog& log, const std::filesystem::path& file, nlohmann::json& all,
                nlohmann::json& state, Sent& sent);
  void send_results(const TrackedRun& run, const std::filesystem::path& file, nlohmann::json& all,
                    nlohmann::json& state, Sent& sent);
  void log_batch(const nlohmann::json& state, const char* what, nlohmann::json entries);

  HttpClient client_;
  std::string experiment_;
  std::string experiment_id_;
};

}  // namespace bissl::host
