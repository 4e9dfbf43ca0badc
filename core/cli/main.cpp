#include "bissl/error.h"
#include "cli/conform_command.h"
#include "cli/describe_command.h"
#include "cli/exit_codes.h"
#include "cli/new_command.h"
#include "cli/plugins_command.h"
#include "cli/report_command.h"
#include "cli/run_command.h"
#include "cli/store_command.h"
#include "cli/sweep_command.h"
#include "stages/options.h"
#include "telemetry/interrupt.h"

#include <torch/version.h>
#include <unistd.h>
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <cstdlib>
#include <iostream>

namespace {

using namespace bissl;

/// Everything that the command line can say.
struct CommandLine {
  PipelineArguments pipeline;
  std::vector<std::string> plugin_paths;
  std::string name;
  std::string kind;  ///< of `new`
  std::string folder = ".";
  std::string library;  ///< of `conform` and `plugins --check`
  ConformanceOptions conformance;
  int conformance_seconds = 600;
  bool no_third_party = false;
  SweepArguments sweep;
  ReportArguments report;
  std::filesystem::path left;  ///< of `diff`
  std::filesystem::path right;
  StoreArguments store;
};

/// The subcommands of `bissl store`.
struct StoreCommands {
  CLI::App* store = nullptr;
  CLI::App* list = nullptr;
  CLI::App* explain = nullptr;
  CLI::App* verify = nullptr;
  CLI::App* prune = nullptr;
};

/// GNU OpenMP's threads wait by spinning, which starves the loader's threads and every neighbour on
/// a machine whose cores are all in use. libgomp reads its settings when it is loaded, so the
/// program starts itself once more with a short spin, unless the user has chosen.
void limit_spinning(char** arguments) {
  constexpr const char* spin = "GOMP_SPINCOUNT";
  if (std::getenv(spin) == nullptr && std::getenv("OMP_WAIT_POLICY") == nullptr) {
    setenv(spin, "20000", /*overwrite=*/0);
    execv("/proc/self/exe", arguments);
  }
}

void add_run_arguments(CLI::App& command, CommandLine& line) {
  command.add_option("--set", line.pipeline.overrides, "KEY=VALUE: override a key of the file")
      ->take_all()
      ->allow_extra_args(false);
  command.add_option("--out", line.pipeline.out, "folder for run folders and the store")
      ->capture_default_str();
  command
      .add_option("--threads", line.pipeline.threads,
                  "threads for computing; 0: as many as the process may use")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command.add_option("--device", line.pipeline.device, "cpu, cuda or cuda:N")
      ->capture_default_str();
}

void add_pipeline_arguments(CLI::App& command, CommandLine& line) {
  command.add_option("pipeline", line.pipeline.file, "the pipeline's TOML file")->required();
  add_run_arguments(command, line);
}

void add_sweep_arguments(CLI::App& command, CommandLine& line) {
  SweepArguments& sweep = line.sweep;
  CLI::Option* file =
      command.add_option("ablation", line.pipeline.file, "the ablation's TOML file");
  add_run_arguments(command, line);
  command.add_flag("--plan", sweep.plan,
                   "print the graph of stages, what is in the store and what the rest would cost");
  command.add_flag("--check", sweep.check, "check all cells and stop");
  command.add_flag("--status", sweep.status, "print the state of each cell and stop");
  command.add_option("--jobs", sweep.jobs, "worker processes, which share the threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      .add_option("--attempts", sweep.attempts,
                  "a stage whose process vanished so often without getting further has failed")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command.add_flag("--stop-on-failure", sweep.stop_on_failure,
                   "stop at the first stage that fails instead of going on with the rest");
  command.add_flag("--slurm", sweep.slurm, "submit the workers as a Slurm job array and return");
  command
      .add_option("--slurm-option", sweep.slurm_options,
                  "a further option of sbatch, such as --partition=gpu")
      ->allow_extra_args(false);
  CLI::Option* worker = command.add_option("--worker", sweep.worker,
                                           "work on the sweep in this folder (used by --jobs and "
                                           "--slurm)");
  file->excludes(worker);
  command.callback([file, worker] {
    if (file->count() == 0 && worker->count() == 0) {
      throw CLI::RequiredError("ablation");
    }
  });
}

void add_report_arguments(CLI::App& command, CommandLine& line) {
  ReportArguments& report = line.report;
  command.add_option("folder", report.folders, "a sweep's folder, or folders of runs")->required();
  command.add_option("--metric", report.metric,
                     "what to compare by: STAGE.DATA.METRIC of a sweep, DATA.METRIC of runs");
  command
      .add_option("--baseline", report.baseline,
                  "AXIS=LABEL: the choice that others are held against")
      ->take_all()
      ->allow_extra_args(false);
  command.add_option("--to", report.to, "where report.html and its companions go");
}

StoreCommands add_store_commands(CLI::App& app, CommandLine& line) {
  StoreCommands commands;
  commands.store = app.add_subcommand("store", "look into the store of finished stages");
  commands.store->require_subcommand(1);
  const auto add = [&](const char* name, const char* text) {
    CLI::App* command = commands.store->add_subcommand(name, text);
    command->add_option("--out", line.pipeline.out, "folder that holds the store")
        ->capture_default_str();
    return command;
  };
  commands.list = add("list", "what is in it");
  commands.explain = add("explain", "which stages of a pipeline are in it, and why others are not");
  commands.explain->add_option("pipeline", line.pipeline.file, "the pipeline's TOML file")
      ->required();
  commands.explain
      ->add_option("--set", line.pipeline.overrides, "KEY=VALUE: override a key of the file")
      ->take_all()
      ->allow_extra_args(false);
  commands.verify = add("verify", "compare all contents with their checksums");
  commands.prune = add("prune", "remove stages");
  commands.prune->add_flag("--unused", line.store.unused,
                           "finished stages that no run and no sweep refers to");
  commands.prune->add_flag("--damaged", line.store.damaged, "damaged stages that were moved aside");
  commands.prune->add_flag("--abandoned", line.store.abandoned,
                           "stages that were begun and that nobody computes");
  commands.prune
      ->add_option("--older-than", line.store.older_than, "only what has not changed for so long")
      ->check(CLI::NonNegativeNumber)
      ->type_name("DAYS");
  commands.prune->add_flag("--dry-run", line.store.dry_run, "only tell what would be removed");
  return commands;
}

/// The options before a command that its worker processes need as well.
std::vector<std::string> common_options(const CommandLine& line) {
  std::vector<std::string> options;
  for (const std::string& path : line.plugin_paths) {
    options.insert(options.end(), {"--plugin-path", path});
  }
  if (line.no_third_party) {
    options.emplace_back("--no-third-party");
  }
  return options;
}

int run_program(int count, char** arguments) {
  CLI::App app("Self-supervised learning with bilevel optimisation", "bissl");
  app.set_version_flag(
      "--version", fmt::format("bissl {}, sdk {}.{}, LibTorch {}", BISSL_VERSION,
                               BISSL_SDK_VERSION_MAJOR, BISSL_SDK_VERSION_MINOR, TORCH_VERSION));
  app.require_subcommand(1);
  CommandLine line;
  app.add_option("--plugin-path", line.plugin_paths, "another folder with plugin libraries")
      ->allow_extra_args(false);
  app.add_flag("--no-third-party", line.no_third_party,
               "load no plugins but those that ship with the program");
  app.add_flag("--json", line.pipeline.json, "print what a program would read");
  app.fallthrough();
  CLI::App* run = app.add_subcommand("run", "run a pipeline");
  add_pipeline_arguments(*run, line);
  CLI::App* check = app.add_subcommand("check", "check a pipeline without training");
  add_pipeline_arguments(*check, line);
  CLI::App* sweep =
      app.add_subcommand("sweep", "run an ablation: a grid of pipelines that share stages");
  add_sweep_arguments(*sweep, line);
  CLI::App* report = app.add_subcommand("report", "tables and plots of a sweep or of runs");
  add_report_arguments(*report, line);
  CLI::App* diff = app.add_subcommand("diff", "what differs between two runs or cells");
  diff->add_option("left", line.left, "a run's or cell's folder")->required();
  diff->add_option("right", line.right, "another one")->required();
  const StoreCommands store = add_store_commands(app, line);
  CLI::App* plugins = app.add_subcommand("plugins", "list what is loaded, and what was refused");
  plugins->add_option("--check", line.library,
                      "try to load this library, and say why if it is refused");
  CLI::App* conform = app.add_subcommand(
      "conform", "hold the components of a plugin library against what their kind promises");
  conform->add_option("library", line.library, "the library")->required();
  conform
      ->add_option("--set", line.conformance.values,
                   "[COMPONENT.]PARAMETER=VALUE: for parameters without a default")
      ->take_all()
      ->allow_extra_args(false);
  conform->add_option("--limit", line.conformance_seconds, "seconds for the whole library")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  CLI::App* make = app.add_subcommand("new", "write a plugin project to start from");
  make->add_option(
          "kind", line.kind,
          "dataset, augmentation, backbone, pretext, downstream, hypergradient or optimizer")
      ->required();
  make->add_option("name", line.name, "the component's name, and the folder's")->required();
  make->add_option("--in", line.folder, "where the folder goes")->capture_default_str();
  CLI::App* describe =
      app.add_subcommand("describe", "the parameters of a component or a kind of stage");
  describe->add_option("name", line.name, "a component or a kind of stage")->required();
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_done : exit_wrong_input;
  }
  if (report->parsed()) {
    line.report.json = line.pipeline.json;
    return run_report(line.report, std::cout, std::cerr);
  }
  if (diff->parsed()) {
    return run_diff(line.left, line.right, line.pipeline.json, std::cout);
  }
  if (store.list->parsed()) {
    return run_store_list(line.pipeline, std::cout);
  }
  if (store.verify->parsed()) {
    return run_store_verify(line.pipeline, std::cout, std::cerr);
  }
  if (store.prune->parsed()) {
    return run_store_prune(line.pipeline, line.store, std::cout);
  }
  if (conform->parsed()) {
    line.conformance.limit = std::chrono::seconds(line.conformance_seconds);
    return run_conform(line.library, line.conformance, line.pipeline.json, std::cout);
  }
  if (plugins->parsed() && !line.library.empty()) {
    return run_plugin_check(line.library, line.pipeline.json, std::cout);
  }
  Registry registry;
  PluginSearch search(registry, line.plugin_paths, !line.no_third_party);
  search.begin();
  if (plugins->parsed()) {
    search.finish();
    return run_plugins(registry, line.pipeline.json, std::cout);
  }
  if (make->parsed()) {
    search.finish();
    return run_new(line.kind, line.name, line.folder, registry, std::cout);
  }
  if (describe->parsed()) {
    search.finish();
    return run_describe(registry, stage_kinds(), line.name, line.pipeline.json, std::cout,
                        std::cerr);
  }
  for (const LoadProblem& problem : registry.report().problems) {
    std::cerr << "warning: " << problem.message() << '\n';
  }
  if (store.explain->parsed()) {
    return run_store_explain(line.pipeline, search, std::cout, std::cerr);
  }
  if (sweep->parsed()) {
    line.sweep.common = common_options(line);
    return run_sweep(line.pipeline, line.sweep, search, std::cout, std::cerr);
  }
  return check->parsed() ? run_check(line.pipeline, search, std::cout, std::cerr)
                         : run_run(line.pipeline, search, std::cout, std::cerr);
}

}  // namespace

int main(int count, char** arguments) {
  limit_spinning(arguments);
  try {
    return run_program(count, arguments);
  } catch (const Interrupted&) {
    std::cerr << "interrupted; a checkpoint is written, and the same call goes on from it\n";
    return exit_interrupted;
  } catch (const Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return error.kind() == ErrorKind::input ? exit_wrong_input : exit_run_failed;
  } catch (const std::exception& exception) {
    std::cerr << "error: " << exception.what() << '\n';
    return exit_run_failed;
  }
}
