#include "report/result_files.h"

namespace bissl::host {

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
                 const std::string& repetition) {
  for (const std::string& name : names) {
    const auto found = results.stages.find(name);
    if (found == results.stages.end()) {
      continue;
    }
    const StageResults& stage = found->second;
    data.stages.push_back(
        {.choices = choices,
         .repetition = repetition,
         .stage = name,
         .kind = stage.kind,
         .key = stage.key,
         .folder = folder / name,
         .seconds = stage.seconds,
         .peak_memory_bytes = stage.peak_memory_bytes,
         .logs = stage.logs,
         .losses = stage.losses,
         .bilevel = stage.details.contains("solves") ? stage.details : nlohmann::json()});
  }
}

}  // namespace bissl::host
