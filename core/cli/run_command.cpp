#include "cli/run_command.h"

#include "base/json_text.h"
#include "base/table.h"
#include "cli/exit_codes.h"
#include "cli/findings.h"
#include "cli/run_settings.h"
#include "cli/solve_advice.h"
#include "distributed/team.h"
#include "pipeline/metric_name.h"
#include "stages/chosen_values.h"
#include "stages/data_findings.h"
#include "stages/follow.h"
#include "stages/runner.h"
#include "telemetry/interrupt.h"
#include "track/live_tensorboard.h"
#include "track/tensorboard_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>
#include <optional>
#include <ostream>

namespace bissl::host {
namespace {

std::string metric_text(const MetricResult& metric) {
  if (!metric.mean) {
    return "not finite";
  }
  const std::string mean = fmt::format("{:.4f}", *metric.mean);
  return metric.values.size() > 1 && metric.deviation
             ? fmt::format("{} ± {:.4f}", mean, *metric.deviation)
             : mean;
}

/// The metrics of all stages that were scored, in the order of their first appearance.
std::vector<std::pair<std::string, std::string>> metric_columns(const RunOutcome& outcome) {
  std::vector<std::pair<std::string, std::string>> columns;
  for (const StageOutcome& stage : outcome.stages) {
    for (const MetricResult& metric : stage.results.metrics) {
      const std::pair column(metric.data, metric.metric);
      if (std::find(columns.begin(), columns.end(), column) == columns.end()) {
        columns.push_back(column);
      }
    }
  }
  return columns;
}

/// One row for each stage: what it continued, its metrics, its time.
std::string results_table(const RunOutcome& outcome) {
  using Align = TextTable::Align;
  const auto metrics = metric_columns(outcome);
  std::vector<TextTable::Column> columns = {{"stage"}, {"from"}, {"repeats", Align::right}};
  for (const auto& [data, metric] : metrics) {
    columns.push_back({score_text(data, metric), Align::right});
  }
  columns.push_back({"seconds", Align::right});
  TextTable table(columns);
  for (const StageOutcome& stage : outcome.stages) {
    const StageResults& results = stage.results;
    std::vector<std::string> row = {stage.name, origin_text(results.kind, results.from),
                                    results.repeats > 0 ? fmt::format("{}", results.repeats) : ""};
    for (const auto& [data, name] : metrics) {
      const MetricResult* metric = results.find(data, name);
      row.push_back(metric == nullptr ? "" : metric_text(*metric));
    }
    row.push_back(fmt::format("{:.0f}{}", results.seconds, stage.reused ? " (kept)" : ""));
    table.add_row(std::move(row));
  }
  return table.text();
}

/// The results of a stage's audits, beside those of v := u.
std::string audit_line(const std::string& stage, const nlohmann::json& audit) {
  std::string text;
  if (audit.contains("failed")) {
    text = fmt::format("{}: {} audits could not be made: {}\n", stage,
                       audit["failed"].get<int64_t>(), audit.at("reason").get<std::string>());
  }
  if (audit.at("audits").get<int64_t>() == 0) {
    return text;
  }
  const auto mean = [&](const char* name) {
    // A format of its own for NaN would say less than the word does.
    const nlohmann::json& value = audit.at(std::string("mean_") + name);
    return value.is_number() ? value.get<double>() : std::nan("");
  };
  const std::string precision = audit.value("precision", "");  // older audits do not say it
  return text + fmt::format(
                    "{}: {} audits; cosine(v, v*) {:.4f}, norm ratio {:.3g}, residual {:.3g}; of v "
                    "= u: cosine "
                    "{:.4f}, residual {:.3g}; residual of the reference v* {:.1g}{}\n",
                    stage, audit.at("audits").get<int64_t>(), mean("cosine"), mean("norm_ratio"),
                    mean("residual"), mean("identity_cosine"), mean("identity_residual"),
                    mean("reference_residual"),
                    precision.empty() ? "" : fmt::format("; v is of passes in {}", precision));
}

/// How many products the upper steps took each, where the numbers differ; results of older runs do
/// not have them.
std::string products_of_a_step(const nlohmann::json& solves) {
  const auto each = solves.find("hessian_products_of_a_step");
  if (each == solves.end() || each->at("fewest") == each->at("most")) {
    return "";
  }
  return fmt::format(" ({:.3g} an upper step, {} to {})", each->at("mean").get<double>(),
                     each->at("fewest").get<int64_t>(), each->at("most").get<int64_t>());
}

/// What a bissl stage's figures are compared with, and its warnings, which may be of an earlier
/// call; results of older runs have none.
std::string level_lines(const std::string& stage, const StageResults& results) {
  const nlohmann::json& details = results.details;
  std::string text;
  for (const auto& [key, value] : chosen_values(results)) {
    text += fmt::format("{}: {} = \"auto\" became {:.3g}\n", stage, key, value);
  }
  const auto text_of = [](const nlohmann::json& numbers, const char* name) {
    return number_or_not_finite(numbers.at(name), 3);
  };
  if (details.contains("upper_loss") && details.contains("balance")) {
    const nlohmann::json& upper = details["upper_loss"];
    const nlohmann::json& balance = details["balance"];
    text += fmt::format("{}: upper loss {} in the first round, {} in the last", stage,
                        text_of(upper, "first_round"), text_of(upper, "last_round"));
    if (upper.contains("constant_head")) {
      text += fmt::format(" (ln K {})", text_of(upper, "constant_head"));
    }
    text += fmt::format("; ‖u‖ {} times the pretext gradient's norm",
                        text_of(balance, "u_over_pretext_gradient"));
    if (balance.contains("displacement_ratio")) {
      text += fmt::format("; θ_P moved {} times as far as in the stage before",
                          text_of(balance, "displacement_ratio"));
    }
    text += "\n";
  }
  if (details.contains("warnings")) {
    for (const nlohmann::json& warning : details["warnings"]) {
      text += fmt::format("{}: warning: {}\n", stage, warning.get<std::string>());
    }
  }
  return text;
}

/// How the solves of the bilevel stages went: what would otherwise stay hidden behind clipping.
std::string solve_lines(const RunOutcome& outcome) {
  std::string text;
  for (const StageOutcome& stage : outcome.stages) {
    const nlohmann::json& details = stage.results.details;
    if (!details.contains("solves")) {
      continue;
    }
    const nlohmann::json& solves = details["solves"];
    text += fmt::format("{}: {} upper steps, {} Hessian products{}; solves ended", stage.name,
                        solves.at("upper_steps").get<int64_t>(),
                        solves.at("hessian_products").get<int64_t>(), products_of_a_step(solves));
    for (const auto& [state, count] : solves.at("ended").items()) {
      text += fmt::format(" {}: {}", state, count.get<int64_t>());
    }
    if (solves.contains("mean_relative_residual")) {
      const nlohmann::json& residual = solves["mean_relative_residual"];
      text += "; mean relative residual " +
              (residual.is_number() ? fmt::format("{:.3g}", residual.get<double>()) : "not finite");
    }
    text += fmt::format("; mean cosine(u, v) {}",
                        number_or_not_finite(solves.at("mean_cosine_u_v"), 4));
    if (solves.contains("share_of_time")) {
      text +=
          fmt::format("; {:.0f} % of the steps' time", 100 * solves["share_of_time"].get<double>());
    }
    text += "\n" + level_lines(stage.name, stage.results);
    text += solve_advice(stage.name, solves);
    if (solves.contains("audit")) {
      text += audit_line(stage.name, solves["audit"]);
    }
  }
  return text;
}

/// What datasets have to say since the run began: the check looks at a part of large data.
void print_new_notes(const std::vector<std::string>& before, const std::vector<std::string>& now,
                     std::ostream& err) {
  for (const std::string& note : now) {
    if (std::find(before.begin(), before.end(), note) == before.end()) {
      err << "warning: " << note << '\n';
    }
  }
}

/// The pipeline's stages, by all processes of the team; by this one where there is none.
RunOutcome run_by_all(const Pipeline& pipeline, const RunOptions& options, Team* team) {
  if (team == nullptr) {
    return run_pipeline(pipeline, options);
  }
  try {
    team->gather();
    RunOutcome outcome = run_pipeline(pipeline, options);
    announce_end();
    team->wait();
    return outcome;
  } catch (const Interrupted&) {
    end_interrupted(*team);
    throw;
  } catch (...) {
    if (team->was_interrupted()) {
      end_interrupted(*team);
      throw Interrupted();
    }
    const std::exception_ptr error = team->explained(std::current_exception());
    team->part(/*interrupted=*/false);
    std::rethrow_exception(error);
  }
}

/// Runs the pipeline, with TensorBoard's files if they are asked for; what an interrupted or failed
/// run has done by then is in them.
RunOutcome run_tracked(const Pipeline& pipeline, const RunOptions& options, Team* team,
                       bool tensorboard, std::ostream& err) {
  if (!tensorboard) {
    return run_by_all(pipeline, options, team);
  }
  const std::filesystem::path folder = options.out / pipeline.name;
  LiveTensorboard live(folder);
  const auto finish = [&] {
    if (const std::string problem = live.finish(); !problem.empty()) {
      err << "warning: --tensorboard: " << problem << "; once this is corrected, `bissl track "
          << folder.string() << " --tensorboard` writes the files\n";
    }
  };
  try {
    RunOutcome outcome = run_by_all(pipeline, options, team);
    finish();
    err << "TensorBoard's files: " << (folder / tensorboard_folder).string() << '\n';
    return outcome;
  } catch (...) {
    finish();
    throw;
  }
}

void print_outcome(const RunOutcome& outcome, bool json, std::ostream& out) {
  if (!json) {
    out << '\n'
        << results_table(outcome) << '\n'
        << solve_lines(outcome) << "run folder: " << outcome.folder.string() << '\n';
    return;
  }
  nlohmann::json stages = nlohmann::json::object();
  for (const StageOutcome& stage : outcome.stages) {
    stages[stage.name] = stage.results.to_json();
    stages[stage.name]["reused"] = stage.reused;
  }
  out << json_text({{"folder", outcome.folder.string()}, {"stages", stages}}, 2) << '\n';
}

/// Checks the pipeline and prints what is found. The exit code where the run cannot begin.
std::optional<int> check_before_run(const Pipeline& pipeline, const RunOptions& options,
                                    const Registry& registry, bool json, std::ostream& out,
                                    std::ostream& err) {
  std::vector<StagePlan> plans = check_pipeline({.pipeline = pipeline,
                                                 .settings = options.settings,
                                                 .out = options.out,
                                                 .datasets = options.datasets});
  add_advice(plans, registry);
  print_findings(plans, err);
  if (!has_errors(plans)) {
    return std::nullopt;
  }
  if (json) {
    out << json_text(findings_json(plans), 2) << '\n';
  }
  return is_wrong_input(plans) ? exit_wrong_input : exit_run_failed;
}

}  // namespace

int run_run(const PipelineArguments& given, bool profile, PluginSearch& plugins, std::ostream& out,
            std::ostream& err) {
  checked_device(given.device);  // before anything is read
  const auto stop_if_asked = [] {
    if (interrupted()) {
      throw Interrupted();
    }
  };
  ProcessPlace place = process_place(given.ranks);
  place.meeting.while_waiting = stop_if_asked;
  if (place.meeting.size > 1 && !has_process_groups()) {
    meet(place.meeting);
  }
  if (place.meeting.rank > 0) {
    return run_beside(given, place, plugins, err);
  }
  const PipelineArguments arguments = arguments_of_process(given, place);
  const auto pipeline = read_or_report(arguments, plugins, out, err);
  if (!pipeline) {
    return exit_wrong_input;
  }
  warn_about_threads(arguments.threads, 1, err);
  RunOptions options;
  options.out = arguments.out;
  options.datasets = arguments.make_datasets();
  options.settings = make_settings(arguments, &err);
  // Before the check, which takes its time: others may be there already.
  const auto team = place.meeting.size > 1 ? std::make_unique<Team>(place) : nullptr;
  if (const std::optional<int> code =
          check_before_run(*pipeline, options, plugins.registry(), arguments.json, out, err)) {
    if (team) {
      team->dismiss(*code);
    }
    return *code;
  }
  const auto say = [&err](const std::string& text) { err << text << std::endl; };
  options.say = say;
  options.listener.warn = say;
  options.listener.waiting = say;
  options.listener.while_waiting = [&] {
    stop_if_asked();
    if (team && team->was_interrupted()) {
      throw Interrupted();
    }
  };
  install_interrupt_handlers();
  options.profile = profile;
  const std::vector<std::string> notes = data_notes(*pipeline, *options.datasets);
  const RunOutcome outcome =
      run_tracked(*pipeline, options, team.get(), arguments.tensorboard, err);
  print_new_notes(notes, data_notes(*pipeline, *options.datasets), err);
  if (profile && std::all_of(outcome.stages.begin(), outcome.stages.end(),
                             [](const StageOutcome& stage) { return stage.reused; })) {
    err << "warning: --profile: all stages are in the store, so none was computed and there is no "
           "profile; another --out or seed computes them anew\n";
  }
  print_outcome(outcome, arguments.json, out);
  return exit_done;
}

}  // namespace bissl::host
