#include "cli/exit_codes.h"
#include "cli/run_command.h"
#include "cli/run_settings.h"
#include "models/guarded.h"
#include "stages/check.h"
#include "telemetry/progress.h"
#include "telemetry/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

namespace bissl {
namespace {

nlohmann::json to_json(const std::vector<StagePlan>& plans) {
  nlohmann::json stages = nlohmann::json::array();
  for (const StagePlan& plan : plans) {
    stages.push_back({{"name", plan.name},
                      {"kind", plan.kind},
                      {"from", plan.from},
                      {"key", plan.key},
                      {"in_store", plan.in_store},
                      {"steps", plan.steps},
                      {"gradients", plan.gradients},
                      {"hessian_products", plan.hessian_products},
                      {"kept_graph_bytes", plan.graph_bytes},
                      {"estimated_seconds", plan.seconds},
                      {"networks", plan.networks},
                      {"warnings", plan.warnings},
                      {"errors", plan.errors}});
  }
  return stages;
}

std::string plan_table(const std::vector<StagePlan>& plans) {
  using Align = TextTable::Align;
  TextTable table({{"stage"},
                   {"kind"},
                   {"from"},
                   {"steps", Align::right},
                   {"gradients", Align::right},
                   {"H·x", Align::right},
                   {"estimate", Align::right},
                   {"store"}});
  for (const StagePlan& plan : plans) {
    table.add_row({plan.name, plan.kind, plan.from.empty() ? "scratch" : plan.from,
                   fmt::format("{}", plan.steps), fmt::format("{}", plan.gradients),
                   fmt::format("{}", plan.hessian_products), format_duration(plan.seconds),
                   plan.in_store ? "finished" : "to do"});
  }
  return table.text();
}

std::string graph_text(const StagePlan& plan) {
  return plan.graph_bytes == 0
             ? ""
             : fmt::format("; the kept graph takes {:.0f} MB", double(plan.graph_bytes) / 1e6);
}

/// What can be chosen where there are no second derivatives: `use = "darts"`, or an approximator
/// with its products by finite differences.
std::string approximators_without_second_derivatives(const Registry& registry) {
  std::vector<std::string> names;
  for (const auto& component : registry.components()) {
    if (component->info.kind != ComponentKind::hypergradient) {
      continue;
    }
    ComponentChoice choice{component, defaults(component->info.parameters), "defaults"};
    const auto does_without = [&] {
      return !create_guarded(choice, HypergradientContext{})->needs().second_derivatives();
    };
    try {
      if (does_without()) {
        names.push_back(fmt::format("use = \"{}\"", component->info.text.name));
        continue;
      }
      const std::string by_difference = "finite-difference";
      const auto& specs = component->info.parameters;
      const bool has_choice =
          std::any_of(specs.begin(), specs.end(), [&](const ParameterSpec& spec) {
            return spec.name == "products" && spec.refusal(by_difference).empty();
          });
      if (has_choice) {
        choice.values["products"] = by_difference;
        if (does_without()) {
          names.push_back(fmt::format("use = \"{}\", products = \"{}\"", component->info.text.name,
                                      by_difference));
        }
      }
    } catch (const Error&) {
      // It cannot be made with its defaults: no advice.
    }
  }
  return fmt::format("{}", fmt::join(names, "; "));
}

}  // namespace

int run_check(const PipelineArguments& arguments, PluginSearch& plugins, std::ostream& out,
              std::ostream& err) {
  const auto pipeline = read_or_report(arguments, plugins, out, err);
  if (!pipeline) {
    return exit_wrong_input;
  }
  const RunSettings settings = make_settings(arguments, nullptr);
  std::vector<StagePlan> plans =
      check_pipeline(*pipeline, settings, arguments.out, /*measure=*/true);
  for (StagePlan& plan : plans) {
    if (plan.lacks_second_derivatives) {
      plan.errors.push_back(
          fmt::format("stage.{}.hypergradient: these work without it: {}", plan.name,
                      approximators_without_second_derivatives(plugins.registry())));
    }
  }
  const bool ok = std::all_of(plans.begin(), plans.end(),
                              [](const StagePlan& plan) { return plan.errors.empty(); });
  if (arguments.json) {
    out << nlohmann::json({{"ok", ok}, {"stages", to_json(plans)}}).dump(2) << '\n';
    return ok ? exit_done : exit_wrong_input;
  }
  for (const StagePlan& plan : plans) {
    for (const std::string& error : plan.errors) {
      err << "error: " << error << '\n';
    }
    for (const std::string& warning : plan.warnings) {
      err << "warning: stage." << plan.name << ": " << warning << '\n';
    }
  }
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

}  // namespace bissl
