#pragma once

#include "data/catalog.h"
#include "sweep/ablation.h"
#include "sweep/cell_messages.h"
#include "sweep/plan.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace bissl::host {

/// Makes the units of a sweep's plan: reads their pipelines and makes the keys of their stages.
/// What is wrong with one is noted for the cell that wants it; it then has no stages.
class UnitMaker {
 public:
  /// All must outlive it.
  UnitMaker(const Ablation& ablation, const PipelineSources& sources,
            std::shared_ptr<DatasetCache> datasets, CellMessages& messages)
      : ablation_(ablation),
        sources_(sources),
        datasets_(std::move(datasets)),
        messages_(messages) {}

  /// The number of the unit that a tree gives. It must give `metrics`.
  size_t add(const ConfigNode& root, const std::string& cell,
             const std::vector<AskedMetric>& metrics);

  /// By the numbers of units; an empty one for a unit with faults.
  std::vector<Pipeline>& pipelines() { return pipelines_; }
  std::vector<PlanUnit>& units() { return units_; }
  /// The stages of all units, each once, parents first.
  std::vector<PlanNode>& nodes() { return nodes_; }

 private:
  void add_stages(PlanUnit& unit, const Pipeline& pipeline, const std::set<std::string>& names,
                  const std::string& cell);
  std::set<std::string> wanted(const Pipeline& pipeline, const std::string& cell);
  void check_metric(const Pipeline& pipeline, const std::set<std::string>& stages,
                    const AskedMetric& asked, const std::string& cell);

  const Ablation& ablation_;
  const PipelineSources& sources_;
  std::shared_ptr<DatasetCache> datasets_;
  CellMessages& messages_;
  std::vector<PlanUnit> units_;
  std::vector<Pipeline> pipelines_;
  std::vector<PlanNode> nodes_;
  std::set<std::string> keys_;
};

}  // namespace bissl::host
