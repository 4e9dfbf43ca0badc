#include "cli/track_command.h"

#include "base/json_text.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "telemetry/interrupt.h"
#include "track/mlflow.h"
#include "track/run_server.h"
#include "track/runs.h"
#include "track/tensorboard_files.h"

#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <ostream>
#include <thread>

namespace bissl::host {
namespace {

/// Seconds between two looks at runs that are followed.
constexpr int pause = 2;

void wait_for_more() {
  for (int tenth = 0; tenth < 10 * pause && !interrupted(); ++tenth) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

/// Whom the measurements go to.
class Receivers {
 public:
  explicit Receivers(const TrackArguments& arguments) {
    if (arguments.tensorboard) {
      tensorboard_.emplace(arguments.to);
    }
    if (!arguments.mlflow.empty()) {
      mlflow_.emplace(arguments.mlflow, arguments.experiment);
    }
  }

  void update(const std::vector<TrackedRun>& runs) {
    if (tensorboard_) {
      written_ = tensorboard_->update(runs);
    }
    if (mlflow_) {
      send(runs);
    }
  }

  /// The same while runs are followed: MLflow may fail for a time. Says so once.
  void follow(const std::vector<TrackedRun>& runs, std::ostream& err) {
    if (tensorboard_) {
      written_ = tensorboard_->update(runs);
    }
    if (!mlflow_) {
      return;
    }
    try {
      send(runs);
      if (!trouble_.empty()) {
        err << "MLflow answers again" << std::endl;
      }
      trouble_.clear();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::run) {
        throw;
      }
      if (trouble_.empty()) {
        err << "warning: " << error.what() << "; trying again" << std::endl;
      }
      trouble_ = error.what();
    }
  }

  /// Why MLflow lacks something at the end; empty if it lacks nothing.
  const std::string& trouble() const { return trouble_; }

  nlohmann::json to_json() const {
    nlohmann::json all = nlohmann::json::object();
    if (tensorboard_) {
      nlohmann::json folders = nlohmann::json::array();
      for (const std::filesystem::path& folder : written_.folders) {
        folders.push_back(folder.string());
      }
      all["tensorboard"] = {
          {"logs", written_.logs}, {"events", written_.events}, {"folders", folders}};
    }
    if (mlflow_) {
      all["mlflow"] = {{"runs", sent_.runs}, {"metrics", sent_.metrics}};
    }
    return all;
  }

  std::string to_text() const {
    std::string text;
    if (tensorboard_) {
      text += fmt::format("TensorBoard: {} events of {} logs\n", written_.events, written_.logs);
      for (const std::filesystem::path& folder : written_.folders) {
        text += fmt::format("  tensorboard --logdir {}\n", folder.string());
      }
    }
    if (mlflow_) {
      text += fmt::format("MLflow: {} runs, {} new metrics\n", sent_.runs, sent_.metrics);
    }
    return text;
  }

 private:
  void send(const std::vector<TrackedRun>& runs) {
    const MlflowExporter::Sent sent = mlflow_->update(runs);
    sent_.runs = sent.runs;
    sent_.metrics += sent.metrics;
  }

  std::optional<TensorboardFiles> tensorboard_;
  std::optional<MlflowExporter> mlflow_;
  TensorboardFiles::Written written_;
  MlflowExporter::Sent sent_;
  std::string trouble_;
};

}  // namespace

int run_track(const TrackArguments& arguments, bool json, std::ostream& out, std::ostream& err) {
  if (!arguments.tensorboard && arguments.mlflow.empty()) {
    fail_input("say whom the measurements are for: --tensorboard, --mlflow URL, or both");
  }
  Receivers receivers(arguments);
  receivers.update(find_runs(arguments.folders));
  if (arguments.follow) {
    install_interrupt_handlers();
    err << "following; Ctrl-C ends it" << std::endl;
    while (!interrupted()) {
      wait_for_more();
      receivers.follow(find_runs(arguments.folders), err);
    }
    if (!receivers.trouble().empty()) {
      fail_run("{}; what is missing is sent by the next call", receivers.trouble());
    }
  }
  if (json) {
    out << json_text(receivers.to_json(), 2) << '\n';
  } else {
    out << receivers.to_text();
  }
  return exit_done;
}

int run_serve(const ServeArguments& arguments, bool json, std::ostream& out) {
  RunServer server(arguments.folders, arguments.port);
  install_interrupt_handlers();
  if (json) {
    out << json_text({{"address", server.address()}, {"port", server.port()}}) << std::endl;
  } else {
    out << fmt::format("{}  (this machine only; Ctrl-C ends it)", server.address()) << std::endl;
  }
  if (!out) {
    return exit_run_failed;  // nobody has got the address; main() says why
  }
  server.serve([] { return interrupted(); });
  return exit_done;
}

}  // namespace bissl::host
