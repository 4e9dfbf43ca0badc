#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

namespace bissl::host {

struct TrackArguments {
  std::vector<std::filesystem::path> folders;  ///< of runs, of sweeps, or of several
  bool tensorboard = false;
  std::filesystem::path to;          ///< of TensorBoard's files; empty: within the runs' folders
  std::string mlflow;                ///< URL of a server; empty: none
  std::string experiment = "bissl";  ///< of MLflow
  bool follow = false;               ///< until interrupted
};

/// `bissl track FOLDER…`: hands the measurements of runs on to other programs. Exit code.
int run_track(const TrackArguments& arguments, bool json, std::ostream& out, std::ostream& err);

struct ServeArguments {
  std::vector<std::filesystem::path> folders;
  int port = 7373;
};

/// `bissl serve FOLDER…`: shows runs in a browser until interrupted, unless its address cannot be
/// written. Exit code.
int run_serve(const ServeArguments& arguments, bool json, std::ostream& out);

}  // namespace bissl::host
