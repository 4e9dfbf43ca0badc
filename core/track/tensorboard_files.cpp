#include "track/tensorboard_files.h"

#include "base/atomic_file.h"
#include "base/posix_file.h"
#include "bissl/error.h"
#include "track/tensorboard_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// Sorts before the files of stages, which have their time there.
constexpr const char* cell_file = "events.out.tfevents.0000000000.bissl-cell";

HyperParameters::mapped_type parameter_of(const std::string& label) {
  if (label == "true" || label == "false") {
    return label == "true";
  }
  double number = 0;
  const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), number);
  if (error == std::errc() && end == label.data() + label.size() && std::isfinite(number)) {
    return number;
  }
  return label;
}

/// A cell's axes and metrics. All times are 0: the same results make the same file.
std::string cell_records(const TrackedRun& run) {
  HyperParameters parameters;
  for (const auto& [axis, label] : run.axes) {
    parameters[axis] = parameter_of(label);
  }
  std::vector<std::pair<std::string, double>> metrics;
  for (const auto& [stage, results] : run.results->stages) {
    for (const MetricResult& metric : results.metrics) {
      if (metric.mean) {
        metrics.emplace_back(stage + "." + metric.name(), *metric.mean);
      }
    }
  }
  return tf_record(version_event(0)) + tf_record(session_start_event(0, parameters, run.setting)) +
         tf_record(scalars_event(0, 0, metrics)) + tf_record(session_end_event(0));
}

void write_if_new(const fs::path& file, const std::string& content) {
  std::error_code ignored;
  constexpr uint64_t limit = uint64_t{1} << 30;
  if (fs::exists(file, ignored) && read_whole(file, limit) == content) {
    return;
  }
  make_folder(file.parent_path());
  write_file_atomically(file, content);
}

}  // namespace

TensorboardFiles::TensorboardFiles(fs::path to) : to_(std::move(to)) {}

fs::path TensorboardFiles::top_of(const TrackedRun& run) const {
  return to_.empty() ? (run.sweep.empty() ? run.folder : run.sweep) / tensorboard_folder : to_;
}

fs::path TensorboardFiles::folder_of(const TrackedRun& run) const {
  if (!to_.empty()) {
    return to_ / run.name;
  }
  return run.sweep.empty() ? top_of(run) : top_of(run) / run.folder.filename();
}

TensorboardFiles::Written TensorboardFiles::update(const std::vector<TrackedRun>& runs) {
  Written written;
  std::set<std::string> seen;
  for (const TrackedRun& run : runs) {
    const fs::path top = top_of(run);
    std::error_code ignored;
    if (fs::is_symlink(top, ignored)) {
      fail_input(
          "{} is a link to a stage: its files would lie in the store; name another folder with "
          "--to",
          top.string());
    }
    if (std::find(written.folders.begin(), written.folders.end(), top) == written.folders.end()) {
      written.folders.push_back(top);
    }
    const fs::path folder = folder_of(run);
    for (const RunLog& log : run.logs) {
      if (!run.sweep.empty() && !seen.insert(log.key + "/" + log.part).second) {
        continue;
      }
      const fs::path place = folder / log.stage / log.part;
      // A stage that was published has moved, and its log with it.
      const auto [entry, is_new] =
          mirrors_.try_emplace(place / (log.key + (log.finished ? "" : ".partial")), log.file,
                               log.part.empty() ? folder / log.stage : place, log.key);
      written.events += entry->second.update();
      ++written.logs;
    }
    if (run.results && !run.sweep.empty()) {
      write_if_new(folder / cell_file, cell_records(run));
    }
  }
  return written;
}

}  // namespace bissl::host
