// The calls that train, or tell what a training would be.

#include "cli/command_line_calls.h"

#include <iostream>

namespace bissl::host {

void CommandLine::add_pipeline_calls() {
  CLI::App* run = add(app_, "run", "run a pipeline", [this] {
    return with_plugins(true, [this](Registry&, PluginSearch& search) {
      return run_run(pipeline_, profile_, search, std::cout, std::cerr);
    });
  });
  CLI::App* check = add(app_, "check", "check a pipeline without training", [this] {
    return with_plugins(true, [this](Registry&, PluginSearch& search) {
      return run_check(pipeline_, search, std::cout, std::cerr);
    });
  });
  run->add_option("--ranks", pipeline_.ranks,
                  "processes that train together, each with a part of every batch; they share the "
                  "threads")
      ->check(CLI::Range(1, 1024));
  for (CLI::App* command : {run, check}) {
    add_pipeline(*command);
    add_run_options(*command);
  }
  run->add_flag("--profile", profile_,
                "write a table of operations and phases and a trace of each stage that is computed "
                "into the run's folder (profile/)");
  run->add_flag("--tensorboard", pipeline_.tensorboard,
                "write TensorBoard's event files along with the run, into its folder");
}

std::vector<std::string> CommandLine::options_of_workers() const {
  std::vector<std::string> options;
  for (const std::string& path : plugin_paths_) {
    options.push_back("--plugin-path=" + path);
  }
  if (no_third_party_) {
    options.emplace_back("--no-third-party");
  }
  return options;
}

void CommandLine::add_preview() {
  CLI::App* preview =
      add(app_, "preview", "pictures of images beside their views, and what the images are like",
          [this] {
            return with_plugins(true, [this](Registry&, PluginSearch& search) {
              return run_preview(pipeline_, preview_, search, std::cout, std::cerr);
            });
          });
  add_pipeline(*preview);
  add_changes(*preview);
  preview->add_option("--stage", preview_.stage, "one stage alone");
  preview->add_option("--samples", preview_.samples, "rows of a sheet")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  preview->add_option("--to", preview_.to, "folder for the pictures")->capture_default_str();
  preview->add_flag("--tensorboard", preview_.tensorboard,
                    "write them into an event file of TensorBoard there, too");
}

void CommandLine::add_bench() {
  CLI::App* bench = app_.add_subcommand("bench", "how fast parts of a pipeline are here");
  bench->require_subcommand(1);
  CLI::App* data =
      add(*bench, "data", "what reading, each transform and whole batches cost one thread", [this] {
        return with_plugins(true, [this](Registry&, PluginSearch& search) {
          return run_bench_data(pipeline_, bench_, search, std::cout, std::cerr);
        });
      });
  add_pipeline(*data);
  add_run_options(*data);
  data->add_option("--stage", bench_.stage, "one stage alone");
  data->add_option("--seconds", bench_.seconds, "how long each part is measured")
      ->check(CLI::Range(0.01, 600.0))
      ->check(finite_number())
      ->capture_default_str();
}

void CommandLine::add_sweep() {
  CLI::App& command =
      *add(app_, "sweep", "run an ablation: a grid of pipelines that share stages", [this] {
        sweep_.common = options_of_workers();
        return with_plugins(true, [this](Registry&, PluginSearch& search) {
          return run_sweep(pipeline_, sweep_, search, std::cout, std::cerr);
        });
      });
  CLI::Option* file = command.add_option("ablation", pipeline_.file, "the ablation's TOML file");
  add_run_options(command);
  command.add_flag("--plan", sweep_.plan,
                   "print the graph of stages, what is in the store and what the rest would cost");
  command.add_flag("--check", sweep_.check, "check all cells and stop");
  command.add_flag("--status", sweep_.status, "print the state of each cell and stop");
  CLI::Option* cell =
      command
          .add_option("--cell", sweep_.cell,
                      "print the resolved pipeline of the cell with this id and stop")
          ->check([](const std::string& id) {
            return id.empty() ? std::string("expected the id of a cell") : std::string();
          });
  command.add_option("--draw", sweep_.draw, "which draw of a search --cell prints")
      ->check(CLI::NonNegativeNumber)
      ->needs(cell);
  command.add_option("--jobs", sweep_.jobs, "worker processes, which share the threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      .add_option("--ranks", pipeline_.ranks,
                  "processes of each worker that train together, each with a part of every batch; "
                  "they share the worker's threads")
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--attempts", sweep_.attempts,
                  "a stage has failed once its process died this many times without progress")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command.add_flag("--stop-on-failure", sweep_.stop_on_failure,
                   "stop at the first stage that fails instead of running the rest");
  command.add_flag("--slurm", sweep_.slurm, "submit the workers as a Slurm job array and return");
  command
      .add_option("--slurm-option", sweep_.slurm_options,
                  "a further option of sbatch, such as --partition=gpu")
      ->allow_extra_args(false);
  CLI::Option* worker = command.add_option(
      "--worker", sweep_.worker,
      "work on the sweep in this folder, without its file (used by --jobs and --slurm)");
  file->excludes(worker);
  command.callback([file, worker] {
    if (file->count() == 0 && worker->count() == 0) {
      throw CLI::RequiredError("ablation");
    }
  });
}

void CommandLine::add_compare() {
  CLI::App& command =
      *add(app_, "compare",
           "which way of training is best for a folder of labelled images, and how sure that is",
           [this] {
             compare_.common = options_of_workers();
             return with_plugins(true, [this](Registry&, PluginSearch& search) {
               return run_compare(pipeline_, compare_, search, std::cout, std::cerr);
             });
           });
  command
      .add_option("data", compare_.data,
                  "a folder with train/CLASS/… and test/CLASS/…, or with CLASS/… alone")
      ->required();
  command.add_option("--minutes", compare_.minutes, "about how long it may take")
      ->check(CLI::Range(0.01, 1e5))
      ->check(finite_number())
      ->capture_default_str();
  command.add_option("--seeds", compare_.seeds, "how often each arm is run")
      ->check(CLI::Range(1, 1000))
      ->default_str("6");
  command.add_option("--unlabeled", compare_.unlabeled,
                     "a folder of images for the pretext task; else the labelled ones");
  command.add_option("--weights", compare_.weights,
                     "a file of weights to start from (see `bissl describe import`)");
  command.add_option("--backbone", compare_.backbone, "the network whose weights --weights holds")
      ->capture_default_str();
  command.add_option("--size", compare_.size, "pixels of the networks' views; chosen if absent")
      ->check(CLI::Range(8, 1024));
  command.add_option("--name", compare_.name,
                     "name of the folder of results; that of the data if absent");
  command.add_flag("--dry-run", compare_.dry_run, "write the settings and stop");
  command.add_option("--jobs", compare_.jobs, "worker processes, which share the threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  add_run_options(command);
}

}  // namespace bissl::host
