#include "report/results.h"

#include "bissl/error.h"
#include "report/result_files.h"
#include "store/posix_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace bissl {

namespace fs = std::filesystem;
using nlohmann::json;

json read_json_object(const fs::path& file) {
  constexpr uint64_t most_bytes = uint64_t{1} << 30;
  json content = json::parse(read_whole(file, most_bytes), nullptr, /*allow_exceptions=*/false);
  if (!content.is_object()) {
    fail_input("{} is not what this program writes: a JSON object was expected", file.string());
  }
  return content;
}

std::optional<double> number_at(const json& from, const std::vector<std::string>& keys) {
  const json* node = &from;
  for (const std::string& key : keys) {
    if (!node->is_object() || !node->contains(key)) {
      return std::nullopt;
    }
    node = &node->at(key);
  }
  if (!node->is_number()) {
    return std::nullopt;
  }
  const auto value = node->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::string folder_title(const fs::path& folder) {
  fs::path whole = fs::absolute(folder).lexically_normal();
  if (!whole.has_filename()) {
    whole = whole.parent_path();  // of "a/"
  }
  return whole.has_filename() ? whole.filename().string() : whole.string();
}

void add_timings(ReportData& data, const json& stages, const std::vector<std::string>& names,
                 const fs::path& folder, const std::vector<size_t>& choices,
                 const std::string& replicate) {
  for (const std::string& name : names) {
    if (!stages.contains(name)) {
      continue;
    }
    const json& stage = stages.at(name);
    data.stages.push_back(
        {.choices = choices,
         .replicate = replicate,
         .stage = name,
         .kind = stage.value("kind", ""),
         .key = stage.value("key", ""),
         .folder = folder / name,
         .seconds = number_at(stage, {"seconds"}).value_or(0),
         .peak_memory_bytes = number_at(stage, {"peak_memory_bytes"}).value_or(0)});
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
