#include "report/gather.h"

#include "bissl/error.h"
#include "pipeline/run_names.h"
#include "report/run_results.h"
#include "report/sweep_results.h"
#include "store/sweep_plan.h"

namespace bissl::host {

namespace fs = std::filesystem;

ReportData gather(const std::vector<fs::path>& folders, const std::string& metric) {
  if (folders.size() == 1 && fs::exists(folders.front() / plan_file)) {
    return gather_sweep(folders.front(), metric);
  }
  for (const fs::path& folder : folders) {
    if (fs::exists(folder / plan_file)) {
      fail_input("{} is a sweep: a sweep is reported on its own", folder.string());
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
