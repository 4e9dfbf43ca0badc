#include "pipeline/run_names.h"

#include "pipeline/diagnostics.h"

namespace bissl::host {

bool is_run_file(const std::string& name) {
  const std::string lower = lower_case(name);
  return lower == run_lock_file || lower == run_results_file || lower == run_profile_folder ||
         lower == "plan.json" || lower == "sweep.lock" || lower.starts_with("report.");
}

}  // namespace bissl::host
