#include "cli/command_line.h"

#include "cli/compare_command.h"
#include "cli/conform_command.h"
#include "cli/describe_command.h"
#include "cli/exit_codes.h"
#include "cli/export_command.h"
#include "cli/features_command.h"
#include "cli/import_command.h"
#include "cli/new_command.h"
#include "cli/pixels_command.h"
#include "cli/plugins_command.h"
#include "cli/preview_command.h"
#include "cli/report_command.h"
#include "cli/run_command.h"
#include "cli/schema_command.h"
#include "cli/store_command.h"
#include "cli/sweep_command.h"
#include "cli/track_command.h"
#include "stages/stage_kind.h"

#include <torch/version.h>
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <functional>
#include <iostream>

namespace bissl::host {
namespace {

/// The program's calls: each add_… declares one with its options and what it does.
class CommandLine {
 public:
  CommandLine();
  int run(int count, char** arguments);

 private:
  using Call = std::function<int()>;

  /// A call that is carried out once everything is parsed.
  CLI::App* add(CLI::App& parent, const char* name, const char* text, Call call);
  void add_changes(CLI::App& command);
  void add_run_options(CLI::App& command);
  void add_rehash(CLI::App& command);
  void add_pipeline(CLI::App& command);
  void add_pipeline_calls();
  void add_preview();
  void add_bench();
  void add_sweep();
  void add_compare();
  void add_report();
  void add_track();
  void add_serve();
  void add_store();
  void add_import();
  void add_export();
  void add_features();
  void add_plugins();
  void add_conform();
  void add_new_and_describe();
  void add_schema();
  std::vector<std::string> options_of_workers() const;

  /// Searches for plugins and makes the call; warns of what was refused if `warn`.
  int with_plugins(bool warn, const std::function<int(Registry&, PluginSearch&)>& call);

  CLI::App app_{"Self-supervised learning with bilevel optimisation", "bissl"};
  Call call_;
  PipelineArguments pipeline_;
  bool profile_ = false;
  std::vector<std::string> plugin_paths_;
  bool no_third_party_ = false;
  PreviewArguments preview_;
  BenchDataArguments bench_;
  SweepArguments sweep_;
  CompareArguments compare_;
  ReportArguments report_;
  TrackArguments track_;
  ServeArguments serve_;
  StoreArguments store_;
  PixelsArguments pixels_;
  ImportArguments import_;
  ExportArguments export_;
  FeaturesArguments features_;
  std::filesystem::path left_;  ///< of `diff`
  std::filesystem::path right_;
  std::string name_;      ///< of `new` and `describe`
  std::string kind_;      ///< of `new`
  std::string document_;  ///< of `schema`
  std::string folder_ = ".";
  std::string library_;  ///< of `conform` and `plugins --check`
  ConformanceOptions conformance_;
  int conformance_seconds_ = 600;
  int check_seconds_ = 60;
};

CommandLine::CommandLine() {
  app_.set_version_flag(
      "--version", fmt::format("bissl {}, sdk {}.{}, LibTorch {}", BISSL_VERSION,
                               BISSL_SDK_VERSION_MAJOR, BISSL_SDK_VERSION_MINOR, TORCH_VERSION));
  app_.require_subcommand(1);
  app_.add_option("--plugin-path", plugin_paths_, "another folder with plugin libraries")
      ->allow_extra_args(false);
  app_.add_flag("--no-third-party", no_third_party_,
                "load no plugins but those that ship with the program");
  app_.add_flag("--json", pipeline_.json, "print what a program would read");
  app_.fallthrough();
  add_pipeline_calls();
  add_preview();
  add_bench();
  add_sweep();
  add_compare();
  add_report();
  add_track();
  add_serve();
  add_store();
  add_import();
  add_export();
  add_features();
  add_plugins();
  add_conform();
  add_new_and_describe();
  add_schema();
}

CLI::App* CommandLine::add(CLI::App& parent, const char* name, const char* text, Call call) {
  CLI::App* command = parent.add_subcommand(name, text);
  command->parse_complete_callback([this, call = std::move(call)] { call_ = call; });
  return command;
}

int CommandLine::with_plugins(bool warn, const std::function<int(Registry&, PluginSearch&)>& call) {
  Registry registry;
  PluginSearch search(registry, plugin_paths_, !no_third_party_);
  search.begin();
  if (warn) {
    for (const LoadProblem& problem : registry.report().problems) {
      std::cerr << "warning: " << problem.message() << '\n';
    }
  }
  return call(registry, search);
}

void CommandLine::add_changes(CLI::App& command) {
  command.add_option("--set", pipeline_.overrides, "KEY=VALUE: override a key of the file")
      ->take_all()
      ->allow_extra_args(false);
  command.add_option("--unset", pipeline_.unset, "KEY: take a key of the file away")
      ->take_all()
      ->allow_extra_args(false);
}

void CommandLine::add_run_options(CLI::App& command) {
  add_changes(command);
  command.add_option("--out", pipeline_.out, "folder for run folders and the store")
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--threads", [this](const std::string& text) { parse_threads(text, pipeline_); },
          "threads for computing: auto (each stage's number is chosen by trial steps), auto:N "
          "(chosen, at most N), N, or 0 for as many as the process may use")
      ->check(CLI::Validator(
          [](const std::string& text) {
            PipelineArguments ignored;
            return parse_threads(text, ignored);
          },
          ""))
      ->default_str("auto");
  command.add_option("--device", pipeline_.device, "cpu, cuda or cuda:N")->capture_default_str();
  add_rehash(command);
}

void CommandLine::add_rehash(CLI::App& command) {
  command.add_flag("--rehash", pipeline_.rehash,
                   "hash the files of all data again, also those that seem unchanged");
}

void CommandLine::add_pipeline(CLI::App& command) {
  command.add_option("pipeline", pipeline_.file, "the pipeline's TOML file")->required();
}

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

/// The options before a call that its worker processes need as well.
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
  command.add_option("--jobs", sweep_.jobs, "worker processes, which share the threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      .add_option("--attempts", sweep_.attempts,
                  "a stage whose process vanished so often without getting further has failed")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command.add_flag("--stop-on-failure", sweep_.stop_on_failure,
                   "stop at the first stage that fails instead of going on with the rest");
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
      ->capture_default_str();
  command.add_option("--seeds", compare_.seeds, "how often each arm is run")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--unlabeled", compare_.unlabeled,
                     "a folder of images for the pretext task; else the labelled ones");
  command.add_option("--weights", compare_.weights,
                     "a file of weights to start from (see `bissl describe import`)");
  command.add_option("--backbone", compare_.backbone, "the network whose weights --weights holds")
      ->capture_default_str();
  command.add_option("--size", compare_.size, "pixels of the networks' views; chosen if absent")
      ->check(CLI::Range(8, 1024));
  command.add_option("--name", compare_.name, "of the folder of results; after the data if absent");
  command.add_flag("--dry-run", compare_.dry_run, "write the settings and stop");
  command.add_option("--jobs", compare_.jobs, "worker processes, which share the threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  add_run_options(command);
}

void CommandLine::add_report() {
  CLI::App* report = add(app_, "report", "tables and plots of a sweep or of runs", [this] {
    report_.json = pipeline_.json;
    return run_report(report_, std::cout, std::cerr);
  });
  report->add_option("folder", report_.folders, "a sweep's folder, or folders of runs")->required();
  report->add_option("--metric", report_.metric,
                     "what to compare by: STAGE.DATA.METRIC of a sweep, DATA.METRIC of runs");
  report
      ->add_option("--baseline", report_.baseline,
                   "AXIS=LABEL: the choice that others are compared with")
      ->take_all()
      ->allow_extra_args(false);
  report->add_option("--to", report_.to, "where report.html and its companions go");

  CLI::App* diff = add(app_, "diff", "what differs between two runs or cells",
                       [this] { return run_diff(left_, right_, pipeline_.json, std::cout); });
  diff->add_option("left", left_, "a run's or cell's folder")->required();
  diff->add_option("right", right_, "another one")->required();
}

void CommandLine::add_track() {
  CLI::App* track = add(app_, "track", "hand the measurements of runs on to TensorBoard or MLflow",
                        [this] { return run_track(track_, pipeline_.json, std::cout, std::cerr); });
  track
      ->add_option("folder", track_.folders,
                   "folders of runs, of sweeps, or folders that hold these; running or finished")
      ->required();
  track->add_flag("--tensorboard", track_.tensorboard,
                  "write event files, into the folder `tensorboard` of each run and sweep");
  track->add_option("--to", track_.to, "where TensorBoard's files go instead");
  track->add_option("--mlflow", track_.mlflow,
                    "URL of an MLflow server, http://HOST:PORT, that gets them");
  track->add_option("--experiment", track_.experiment, "of MLflow, made if there is none")
      ->capture_default_str();
  track->add_flag("--follow", track_.follow, "continue with what runs add, until Ctrl-C");
}

void CommandLine::add_serve() {
  CLI::App* serve =
      add(app_, "serve", "show runs in a browser on this machine, while they run and afterwards",
          [this] { return run_serve(serve_, pipeline_.json, std::cout); });
  serve
      ->add_option("folder", serve_.folders,
                   "folders of runs, of sweeps, or folders that hold these")
      ->required();
  serve->add_option("--port", serve_.port, "of 127.0.0.1; 0: one that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
}

void CommandLine::add_store() {
  CLI::App* store = app_.add_subcommand("store", "look into the store of finished stages");
  store->require_subcommand(1);
  CLI::App* list =
      add(*store, "list", "what is in it", [this] { return run_store_list(pipeline_, std::cout); });
  CLI::App* explain = add(*store, "explain",
                          "which stages of a pipeline are in it, and why others are not", [this] {
                            return with_plugins(true, [this](Registry&, PluginSearch& search) {
                              return run_store_explain(pipeline_, search, std::cout, std::cerr);
                            });
                          });
  CLI::App* verify = add(*store, "verify", "compare all contents with their checksums",
                         [this] { return run_store_verify(pipeline_, std::cout, std::cerr); });
  CLI::App* prune = add(*store, "prune", "remove stages", [this] {
    return run_store_prune(pipeline_, store_, std::cout, std::cerr);
  });
  CLI::App* pixels = add(*store, "pixels", "decoded images that sources with `cache_pixels` keep",
                         [this] { return run_store_pixels(pixels_, pipeline_.json, std::cout); });
  pixels->add_flag("--prune", pixels_.prune, "remove them; they are made again when needed");
  pixels->add_option("--older-than", pixels_.older_than, "only what was not opened for so long")
      ->check(CLI::NonNegativeNumber)
      ->type_name("DAYS");
  pixels->add_flag("--dry-run", pixels_.dry_run, "only tell what would be removed");
  for (CLI::App* command : {list, explain, verify, prune}) {
    command->add_option("--out", pipeline_.out, "folder that holds the store")
        ->capture_default_str();
  }
  add_pipeline(*explain);
  add_changes(*explain);
  add_rehash(*explain);
  prune->add_flag("--unused", store_.unused, "finished stages that no run and no sweep refers to");
  prune->add_flag("--damaged", store_.damaged, "damaged stages that were moved aside");
  prune->add_flag("--abandoned", store_.abandoned,
                  "stages that were begun and that nobody computes");
  prune->add_option("--older-than", store_.older_than, "only what has not changed for so long")
      ->check(CLI::NonNegativeNumber)
      ->type_name("DAYS");
  prune->add_flag("--dry-run", store_.dry_run, "only tell what would be removed");
}

void CommandLine::add_import() {
  CLI::App* import =
      add(app_, "import", "add a stage to a pipeline that takes weights from a file", [this] {
        return with_plugins(true, [this](Registry&, PluginSearch& search) {
          return run_import_command(pipeline_, import_, search, std::cout, std::cerr);
        });
      });
  import
      ->add_option("file", import_.file,
                   "safetensors, or what torch.save writes (.pth, .pt, .ckpt)")
      ->required();
  import->add_option("--into", pipeline_.file, "the pipeline's TOML file")->required();
  import->add_option("--stage", import_.stage, "the new stage's name")->capture_default_str();
  import
      ->add_option("--source", import_.source,
                   "whose names the file has; `bissl describe import` lists them")
      ->capture_default_str();
  import
      ->add_option("--allow", import_.allow,
                   "a name, or its beginning, that may be missing, too many or of another shape")
      ->take_all()
      ->allow_extra_args(false);
  import->add_option("--channels", import_.channels,
                     "of the images; as the pipeline's first stage sees them if not given");
  import->add_option("--size", import_.size, "height and width of the images, likewise");
  import->add_flag("--dry-run", import_.dry_run, "only tell what would be written");
}

void CommandLine::add_export() {
  CLI::App* command =
      add(app_, "export", "write a finished stage's weights for other programs", [this] {
        return with_plugins(false, [this](Registry&, PluginSearch& search) {
          return run_export(pipeline_, export_, search, std::cout, std::cerr);
        });
      });
  command->add_option("stage", export_.stage, "RUN/STAGE: a stage of a run's folder")->required();
  command
      ->add_option("--to", export_.to,
                   "FILE.safetensors, .pth or .pt; FILE.json beside it says how to use it")
      ->required();
  command->add_option("--names", export_.names, "torchvision or timm: whose names the tensors get")
      ->check(CLI::IsMember({"torchvision", "timm"}))
      ->capture_default_str();
  command->add_option("--network", export_.network,
                      "which of several networks that the stage has trained, from 0");
  command->add_flag("--no-head", export_.no_head, "leave the head out");
  command->add_flag("--force", export_.force, "replace files that are there");
}

void CommandLine::add_features() {
  CLI::App* command =
      add(app_, "features", "write what a finished stage's network makes of data", [this] {
        return with_plugins(true, [this](Registry&, PluginSearch& search) {
          return run_features(pipeline_, features_, search, std::cout, std::cerr);
        });
      });
  add_pipeline(*command);
  add_run_options(*command);
  command->add_option("--stage", features_.stage, "a finished stage of the pipeline")->required();
  command->add_option("--data", features_.data, "a data source of the pipeline")->required();
  command
      ->add_option("--to", features_.to,
                   "FILE.safetensors, .npy, .csv, or .tsv for TensorBoard's projector")
      ->required();
  command->add_option("--views", features_.views,
                      "a stage whose views are taken; as the stage is scored if not given");
  command
      ->add_option("--network", features_.network,
                   "which of several networks that the stage has trained, from 0")
      ->capture_default_str();
  command->add_option("--batch", features_.batch, "samples at once")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_flag("--outputs", features_.outputs, "those of the stage's head, too");
  command->add_flag("--force", features_.force, "replace files that are there");
}

void CommandLine::add_plugins() {
  CLI::App* plugins = add(app_, "plugins", "list what is loaded, and what was refused", [this] {
    if (!library_.empty()) {
      return run_plugin_check(library_, pipeline_.json, std::cout);
    }
    return with_plugins(false, [this](Registry& registry, PluginSearch& search) {
      search.finish();
      return run_plugins(registry, pipeline_.json, std::cout);
    });
  });
  plugins->add_option("--check", library_,
                      "try to load this library, and say why if it is refused");
}

void CommandLine::add_conform() {
  CLI::App* conform =
      add(app_, "conform",
          "check that the components of a plugin library keep what their kind promises", [this] {
            conformance_.limit = std::chrono::seconds(conformance_seconds_);
            conformance_.check_limit = std::chrono::seconds(check_seconds_);
            conformance_.plugin_paths = plugin_paths_;
            conformance_.third_party = !no_third_party_;
            return run_conform(library_, conformance_, pipeline_.json, std::cout);
          });
  conform->add_option("library", library_, "the library")->required();
  conform
      ->add_option("--set", conformance_.values,
                   "[COMPONENT.]PARAMETER=VALUE: try a component with this value; needed where a "
                   "parameter without a default is a text or a list")
      ->take_all()
      ->allow_extra_args(false);
  conform->add_option("--backbone", conformance_.backbone,
                      "NAME: try tasks with this backbone, of the library or of another; "
                      "needed where a task asks for feature maps or tokens");
  conform->add_option("--limit", conformance_seconds_, "seconds for the whole library")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  conform->add_option("--check-limit", check_seconds_, "seconds for each check")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  conform->add_flag("--json", pipeline_.json, "print the report as data");
  conform->footer(
      "Exit codes: 0 the library conforms, 1 a check failed, 2 wrong arguments, 3 not tested: "
      "nothing failed, but a component could not be tried.");
}

void CommandLine::add_new_and_describe() {
  CLI::App* make = add(app_, "new", "write a plugin project to start from", [this] {
    return with_plugins(false, [this](Registry& registry, PluginSearch& search) {
      search.finish();
      return run_new(kind_, name_, folder_, registry, std::cout);
    });
  });
  make->add_option("kind", kind_,
                   "dataset, augmentation, transform, backbone, pretext, downstream, hypergradient "
                   "or optimizer")
      ->required();
  make->add_option("name", name_, "the component's name, and the folder's")->required();
  make->add_option("--in", folder_, "where the folder goes")->capture_default_str();

  CLI::App* describe = add(
      app_, "describe", "the parameters of a component, a kind of stage or a kind of file", [this] {
        return with_plugins(false, [this](Registry& registry, PluginSearch& search) {
          search.finish();
          return run_describe(registry, stage_kinds(), name_, pipeline_.json, std::cout, std::cerr);
        });
      });
  describe->add_option("name", name_,
                       "a component, a kind of stage, \"pipeline\" or \"sweep\"; without it, all");
}

void CommandLine::add_schema() {
  CLI::App* schema =
      add(app_, "schema", "a JSON Schema of pipelines or ablations, for editors", [this] {
        return with_plugins(true, [this](Registry& registry, PluginSearch& search) {
          search.finish();
          return run_schema(document_, registry, std::cout);
        });
      });
  schema->add_option("document", document_, "pipeline or ablation")->required();
}

int CommandLine::run(int count, char** arguments) {
  try {
    app_.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app_.exit(error) == 0 ? exit_done : exit_wrong_input;
  }
  return call_();
}

}  // namespace

int run_command_line(int count, char** arguments) { return CommandLine().run(count, arguments); }

}  // namespace bissl::host
