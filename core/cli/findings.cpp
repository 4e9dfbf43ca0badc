#include "cli/findings.h"

#include "base/spelling.h"
#include "cli/approximator_advice.h"
#include "pipeline/diagnostics.h"
#include "stages/data_findings.h"
#include "stages/stage_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

namespace bissl::host {
namespace {

nlohmann::json to_json(const std::vector<StagePlan>& plans) {
  nlohmann::json stages = nlohmann::json::array();
  for (const StagePlan& plan : plans) {
    nlohmann::json metrics = nlohmann::json::array();
    for (const MetricResult& metric : plan.metrics) {
      metrics.push_back(metric.name());
    }
    stages.push_back({{"name", plan.name},
                      {"kind", plan.kind},
                      {"from", plan.from},
                      {"key", plan.key},
                      {"in_store", plan.in_store},
                      {"steps", plan.steps},
                      {"gradients", plan.gradients},
                      {"hessian_products", plan.hessian_products},
                      {"kept_graph_bytes", plan.graph_bytes},
                      {"estimated_peak_bytes", plan.peak_memory},
                      {"estimated_seconds", plan.seconds},
                      {"networks", plan.networks},
                      {"metrics", metrics},
                      {"warnings", plan.warnings},
                      {"errors", plan.errors}});
  }
  return stages;
}

}  // namespace

std::string origin_text(const std::string& kind, const std::string& from) {
  return !from.empty() ? from : stage_kind(kind).spec().is_root ? "file" : "scratch";
}

bool has_errors(const std::vector<StagePlan>& plans) {
  return std::any_of(plans.begin(), plans.end(),
                     [](const StagePlan& plan) { return !plan.errors.empty(); });
}

bool is_wrong_input(const std::vector<StagePlan>& plans) {
  return std::any_of(plans.begin(), plans.end(),
                     [](const StagePlan& plan) { return plan.wrong_input; });
}

void add_advice(std::vector<StagePlan>& plans, const Registry& registry) {
  for (StagePlan& plan : plans) {
    if (plan.lacks_second_derivatives) {
      plan.errors.push_back(
          fmt::format("stage.{}.hypergradient: these work without it: {}", spelled_key(plan.name),
                      approximators_without_second_derivatives(registry.components())));
    }
  }
}

void print_findings(const std::vector<StagePlan>& plans, std::ostream& err) {
  for (const StagePlan& plan : plans) {
    for (const std::string& error : plan.errors) {
      err << "error: " << error << '\n';
    }
    for (const std::string& warning : plan.warnings) {
      err << "warning: "
          << (is_about_data(warning) ? warning
                                     : fmt::format("stage.{}: {}", spelled_key(plan.name), warning))
          << '\n';
    }
  }
}

nlohmann::json findings_json(const std::vector<StagePlan>& plans) {
  return {{"ok", !has_errors(plans)}, {"stages", to_json(plans)}};
}

}  // namespace bissl::host
