#include "cli/command_line.h"

#include "cli/command_line_calls.h"
#include "cli/exit_codes.h"
#include "data/content_hashes.h"
#include "data/planned_views.h"
#include "models/memory_format.h"

#include <torch/version.h>

#include <cmath>
#include <cstdlib>
#include <iostream>

namespace bissl::host {

CLI::Validator finite_number() {
  return CLI::Validator(
      [](const std::string& text) {
        return std::isfinite(std::strtod(text.c_str(), nullptr))
                   ? std::string()
                   : fmt::format("{} is not a finite number", text);
      },
      "");
}

CommandLine::CommandLine() {
  app_.set_version_flag(
      "--version", fmt::format("bissl {}, sdk {}.{}, LibTorch {}", BISSL_VERSION,
                               BISSL_SDK_VERSION_MAJOR, BISSL_SDK_VERSION_MINOR, TORCH_VERSION));
  app_.require_subcommand(1);
  app_.add_option("--plugin-path", plugin_paths_, "another folder with plugin libraries")
      ->allow_extra_args(false);
  app_.add_flag("--no-third-party", no_third_party_,
                "load no plugins but those that ship with the program");
  app_.add_flag("--json", pipeline_.json, "print the answer as JSON");
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
  PluginSearch search(registry, plugin_paths_, !no_third_party_, cache_folder("plugins"));
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
  command.add_flag("--deterministic", pipeline_.deterministic,
                   "with --device cuda: the same bits in every run, or an error where an operation "
                   "cannot; slower");
  command.add_flag(
      "--tf32", pipeline_.tf32,
      "with --device cuda: faster products of matrices, of numbers rounded to 10 bits");
  command.add_flag_callback(
      "--cpu-views", [] { set_views_on_devices(false); },
      "with --device cuda: the processor makes all views, and the GPU none");
  command.add_flag_callback(
      "--channels-last", [] { set_channels_last(true); },
      "with --device cuda: backbones get images with channels last in memory");
  add_rehash(command);
}

void CommandLine::add_rehash(CLI::App& command) {
  command.add_flag("--rehash", pipeline_.rehash,
                   "hash the files of all data again, also those that seem unchanged");
}

void CommandLine::add_pipeline(CLI::App& command) {
  command.add_option("pipeline", pipeline_.file, "the pipeline's TOML file")->required();
}

int CommandLine::run(int count, char** arguments) {
  try {
    app_.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app_.exit(error) == 0 ? exit_done : exit_wrong_input;
  }
  return call_();
}

int run_command_line(int count, char** arguments) { return CommandLine().run(count, arguments); }

}  // namespace bissl::host
