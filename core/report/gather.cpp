#include "report/gather.h"

#include "bissl/error.h"
#include "pipeline/run_names.h"
#include "report/run_results.h"
#include "report/sweep_results.h"
#include "store/sweep_plan.h"

#include <algorithm>

namespace bissl::host {

namespace fs = std::filesystem;

ReportData gather(const std::vector<fs::path>& folders, const std::string& metric) {
  const auto is_sweep = [](const fs::path& folder) { return fs::exists(folder / plan_file); };
  if (!folders.empty() && std::all_of(folders.begin(), folders.end(), is_sweep)) {
    return gather_sweeps(folders, metric);
  }
  for (const fs::path& folder : folders) {
    if (is_sweep(folder)) {
      fail_input(
          "{} is a sweep, and not all of the folders are: a sweep is reported by itself, or with "
          "others of its ablation",
          folder.string());
    }
    if (!fs::exists(folder / run_results_file)) {
      fail_input(
          "{} is neither a run's folder (it has no results.json) nor a sweep's (no "
          "plan.json)",
          folder.string());
    }
  }
  return gather_runs(folders, metric);
}

}  // namespace bissl::host
