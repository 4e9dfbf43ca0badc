#include "base/exception_text.h"
#include "base/json_text.h"
#include "base/table.h"
#include "cli/exit_codes.h"
#include "cli/findings.h"
#include "cli/run_command.h"
#include "cli/run_settings.h"
#include "stages/check.h"
#include "stages/runner.h"
#include "telemetry/progress.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

namespace bissl::host {
namespace {

std::string plan_table(const std::vector<StagePlan>& plans) {
  using Align = TextTable::Align;
  TextTable table({{"stage"},
                   {"kind"},
                   {"from"},
                   {"steps", Align::right},
                   {"gradients", Align::right},
                   {"H·x", Align::right},
                   {"estimate", Align::right},
                   {"memory", Align::right},
                   {"store"}});
  for (const StagePlan& plan : plans) {
    table.add_row({plan.name, plan.kind, origin_text(plan.kind, plan.from),
                   fmt::format("{}", plan.steps), fmt::format("{}", plan.gradients),
                   fmt::format("{}", plan.hessian_products), format_duration(plan.seconds),
                   plan.peak_memory > 0 ? bytes_text(plan.peak_memory) : "",
                   plan.in_store ? "finished" : "to do"});
  }
  return table.text();
}

std::string graph_text(const StagePlan& plan) {
  return plan.graph_bytes == 0 ? ""
                               : fmt::format("; the kept graph takes {:.0f} MB",
                                             static_cast<double>(plan.graph_bytes) / 1e6);
}

}  // namespace

int run_check(const PipelineArguments& arguments, PluginSearch& plugins, std::ostream& out,
              std::ostream& err) {
  checked_device(arguments.device);  // before anything is read
  const auto pipeline = read_or_report(arguments, plugins, out, err);
  if (!pipeline) {
    return exit_wrong_input;
  }
  check_origin(origin_of(*pipeline, arguments.out));
  warn_about_threads(arguments.threads, 1, err);
  const RunSettings settings = make_settings(arguments, nullptr);
  std::vector<StagePlan> plans = check_pipeline({.pipeline = *pipeline,
                                                 .settings = settings,
                                                 .out = arguments.out,
                                                 .depth = TrialDepth::measured,
                                                 .datasets = arguments.make_datasets()});
  add_advice(plans, plugins.registry());
  const bool ok = !has_errors(plans);
  if (arguments.json) {
    out << json_text(findings_json(plans), 2) << '\n';
    return ok ? exit_done : exit_wrong_input;
  }
  print_findings(plans, err);
  if (ok) {
    double seconds = 0;
    for (const StagePlan& plan : plans) {
      out << plan.name << ": " << plan.networks << graph_text(plan) << '\n';
      seconds += plan.in_store ? 0 : plan.seconds;
    }
    out << '\n'
        << plan_table(plans) << "\nleft to do: about " << format_duration(seconds)
        << ", from the time of one gradient and one Hessian product of each stage\n";
  }
  return ok ? exit_done : exit_wrong_input;
}

}  // namespace bissl::host
