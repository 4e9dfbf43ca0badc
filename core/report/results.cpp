#include "report/results.h"

#include "bissl/error.h"
#include "report/result_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bissl {

namespace fs = std::filesystem;

std::string folder_title(const fs::path& folder) {
  fs::path whole = fs::absolute(folder).lexically_normal();
  if (!whole.has_filename()) {
    whole = whole.parent_path();  // of "a/"
  }
  return whole.has_filename() ? whole.filename().string() : whole.string();
}

void add_timings(ReportData& data, const RunResults& results, const std::vector<std::string>& names,
                 const fs::path& folder, const std::vector<size_t>& choices,
                 const std::string& replicate) {
  for (const std::string& name : names) {
    const auto found = results.stages.find(name);
    if (found == results.stages.end()) {
      continue;
    }
    const StageResults& stage = found->second;
    data.stages.push_back({.choices = choices,
                           .replicate = replicate,
                           .stage = name,
                           .kind = stage.kind,
                           .key = stage.key,
                           .folder = folder / name,
                           .seconds = stage.seconds,
                           .peak_memory_bytes = stage.peak_memory_bytes,
                           .logs = stage.logs,
                           .losses = stage.losses});
  }
}

std::string ReportData::label(const std::vector<size_t>& choices) const {
  std::vector<std::string> parts;
  for (size_t i = 0; i < axes.size(); ++i) {
    parts.push_back(axes[i].labels.at(choices.at(i)));
  }
  return parts.empty() ? title : fmt::format("{}", fmt::join(parts, ", "));
}

ReportData gather(const std::vector<fs::path>& folders, const std::string& metric) {
  if (folders.size() == 1 && fs::exists(folders.front() / "plan.json")) {
    return gather_sweep(folders.front(), metric);
  }
  for (const fs::path& folder : folders) {
    if (fs::exists(folder / "plan.json")) {
      fail_input("{} is a sweep: a sweep is reported on its own", folder.string());
    }
    if (!fs::exists(folder / "results.json")) {
      fail_input(
          "{} is neither a run's folder (it has no results.json) nor a sweep's (no "
          "plan.json)",
          folder.string());
    }
  }
  return gather_runs(folders, metric);
}

void set_baseline(ReportData& data, const std::vector<std::string>& choices) {
  for (const std::string& choice : choices) {
    const size_t equals = choice.find('=');
    const std::string name = choice.substr(0, equals);
    const auto axis = std::find_if(data.axes.begin(), data.axes.end(),
                                   [&](const ReportAxis& one) { return one.name == name; });
    if (equals == std::string::npos || axis == data.axes.end()) {
      std::vector<std::string> names;
      for (const ReportAxis& one : data.axes) {
        names.push_back(one.name);
      }
      fail_input("--baseline {}: expected AXIS=LABEL; the axes are {}", choice,
                 fmt::join(names, ", "));
    }
    const std::string label = choice.substr(equals + 1);
    const auto found = std::find(axis->labels.begin(), axis->labels.end(), label);
    if (found == axis->labels.end()) {
      fail_input("--baseline {}: the labels of {} are {}", choice, name,
                 fmt::join(axis->labels, " | "));
    }
    axis->baseline = static_cast<size_t>(found - axis->labels.begin());
  }
}

}  // namespace bissl
