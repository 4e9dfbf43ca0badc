#include "sweep/plan.h"
#include "targets.h"

namespace bissl::host::test {

void fuzz_plan(std::string_view bytes) {
  const auto json = nlohmann::json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return;
  }
  refusing([&] {
    const SweepPlan plan = SweepPlan::from_json(json);
    for (const PlanCell& cell : plan.cells) {
      plan.labels(cell);
    }
    for (const PlanNode& node : plan.nodes) {
      plan.cell_of(node.key);
      promise(node.parent.empty() || plan.node(node.parent).key == node.parent,
              "a stage's parent is in the plan");
      promise(node.unit < plan.units.size(), "a stage's unit is in the plan");
    }
    const nlohmann::json written = plan.to_json();
    promise(SweepPlan::from_json(written).to_json() == written, "a plan is read as it was written");
  });
}

}  // namespace bissl::host::test
