#include "cli/sweep_cell.h"

#include "base/spelling.h"
#include "bissl/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

const PlanCell& named_cell(const SweepPlan& plan, const std::string& id,
                           const std::filesystem::path& ablation) {
  const auto found = std::find_if(plan.cells.begin(), plan.cells.end(),
                                  [&](const PlanCell& cell) { return cell.id == id; });
  if (found != plan.cells.end()) {
    return *found;
  }
  std::vector<std::string> ids;
  ids.reserve(plan.cells.size());
  for (const PlanCell& cell : plan.cells) {
    ids.push_back(cell.id);
  }
  const std::vector<std::string> near = nearest(id, ids);
  fail_input("--cell {}: there is no cell with this id{} `bissl sweep {} --status --json` has all",
             id, near.empty() ? "." : fmt::format("; did you mean {}?", near.front()),
             ablation.string());
}

}  // namespace

const PlanUnit& named_unit(const SweepPlan& plan, const SweepArguments& sweep,
                           const std::filesystem::path& ablation) {
  const PlanCell& cell = named_cell(plan, sweep.cell, ablation);
  if (cell.unit) {
    if (sweep.draw) {
      fail_input("--draw {}: {} has no [search], so its cells have no draws; leave --draw out",
                 *sweep.draw, ablation.string());
    }
    return plan.units.at(*cell.unit);
  }
  if (!sweep.draw || *sweep.draw < 0 || static_cast<size_t>(*sweep.draw) >= cell.trials.size()) {
    fail_input("--cell {}: this cell is a search; expected --draw N with it, N from 0 to {}",
               cell.id, cell.trials.size() - 1);
  }
  return plan.units.at(cell.trials.at(static_cast<size_t>(*sweep.draw)));
}

}  // namespace bissl::host
