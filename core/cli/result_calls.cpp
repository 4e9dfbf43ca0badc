// The calls that read what was computed, and take or give weights.

#include "cli/command_line_calls.h"

#include <iostream>

namespace bissl::host {

void CommandLine::add_report() {
  CLI::App* report = add(app_, "report", "tables and plots of a sweep or of runs", [this] {
    report_.json = pipeline_.json;
    return run_report(report_, std::cout, std::cerr);
  });
  report
      ->add_option("folder", report_.folders,
                   "a sweep's folder, several of sweeps of one ablation, or folders of runs")
      ->required();
  report->add_option("--metric", report_.metric,
                     "what to compare by: STAGE.DATA.METRIC of a sweep, DATA.METRIC of runs");
  report
      ->add_option("--baseline", report_.baseline,
                   "AXIS=LABEL: the choice that others are compared with")
      ->take_all()
      ->allow_extra_args(false);
  report->add_option("--to", report_.to, "where report.html and its companions go");
  report->add_flag(
      "--follow", report_.follow,
      "write the files again whenever the runs have changed, until Ctrl-C; `bissl serve` "
      "shows curves as they grow");

  CLI::App* diff = add(app_, "diff", "what differs between two runs or cells",
                       [this] { return run_diff(left_, right_, pipeline_.json, std::cout); });
  diff->add_option("left", left_, "a run's or cell's folder")->required();
  diff->add_option("right", right_, "the folder to compare it with")->required();
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
  track
      ->add_option("--experiment", track_.experiment,
                   "the experiment of MLflow, made if there is none")
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
  serve->add_option("--port", serve_.port, "port of 127.0.0.1; 0: one that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
}

void CommandLine::add_store() {
  CLI::App* store = app_.add_subcommand("store", "list, explain, check and remove finished stages");
  store->require_subcommand(1);
  CLI::App* list = add(*store, "list", "what is in the store",
                       [this] { return run_store_list(pipeline_, std::cout); });
  CLI::App* explain =
      add(*store, "explain", "which stages of a pipeline are in the store, and why others are not",
          [this] {
            return with_plugins(true, [this](Registry&, PluginSearch& search) {
              return run_store_explain(pipeline_, search, std::cout, std::cerr);
            });
          });
  CLI::App* verify =
      add(*store, "verify", "compare the contents of all stages with their checksums",
          [this] { return run_store_verify(pipeline_, std::cout, std::cerr); });
  CLI::App* prune = add(*store, "prune", "remove unused, damaged or abandoned stages", [this] {
    return run_store_prune(pipeline_, store_, std::cout, std::cerr);
  });
  CLI::App* pixels = add(*store, "pixels", "decoded images that sources with `cache_pixels` keep",
                         [this] { return run_store_pixels(pixels_, pipeline_.json, std::cout); });
  pixels->add_flag("--prune", pixels_.prune, "remove them; they are made again when needed");
  pixels
      ->add_option("--older-than", pixels_.older_than,
                   "only what was not opened for this many days")
      ->check(CLI::NonNegativeNumber)
      ->check(finite_number())
      ->type_name("DAYS");
  pixels->add_flag("--dry-run", pixels_.dry_run, "say what would be removed, and remove nothing");
  for (CLI::App* command : {list, explain, verify, prune}) {
    command->add_option("--out", pipeline_.out, "folder that holds the store")
        ->capture_default_str();
  }
  add_pipeline(*explain);
  add_changes(*explain);
  add_rehash(*explain);
  prune->add_flag("--unused", store_.unused, "finished stages that no run and no sweep refers to");
  prune->add_flag("--damaged", store_.damaged, "damaged stages that were moved aside");
  prune->add_flag("--abandoned", store_.abandoned, "unfinished stages that no process computes");
  prune
      ->add_option("--older-than", store_.older_than,
                   "only what has not changed for this many days")
      ->check(CLI::NonNegativeNumber)
      ->check(finite_number())
      ->type_name("DAYS");
  prune->add_flag("--dry-run", store_.dry_run, "say what would be removed, and remove nothing");
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
      ->add_option(
          "--allow", import_.allow,
          "a name, its beginning or a pattern (*) of names, that may be missing, too many or "
          "of another shape")
      ->take_all()
      ->allow_extra_args(false);
  import->add_option(
      "--channels", import_.channels,
      "channels of the images; as the pipeline's first stage sees them if not given");
  import->add_option("--size", import_.size, "height and width of the images, likewise");
  import->add_flag("--dry-run", import_.dry_run, "say what would be written, and write nothing");
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
  command
      ->add_option(
          "--names", export_.names,
          "torchvision or timm: whose names the tensors get, the head's, too; refused where "
          "they are not known")
      ->check(CLI::IsMember({"torchvision", "timm"}));
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
  command->add_flag("--outputs", features_.outputs, "write the outputs of the stage's head, too");
  command
      ->add_option("--precision", features_.precision,
                   "what the backbone's passes compute in: fp32, bf16, or fp16 on a GPU")
      ->check(CLI::IsMember({"fp32", "bf16", "fp16"}))
      ->capture_default_str();
  command->add_flag("--force", features_.force, "replace files that are there");
}

}  // namespace bissl::host
