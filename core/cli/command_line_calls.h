#pragma once

#include "cli/compare_command.h"
#include "cli/conform_command.h"
#include "cli/describe_command.h"
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

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace bissl::host {

/// A check of an option's value: refuses "nan", which is neither less nor more than any bound, so
/// that CLI11's checks of bounds let it pass, and "inf". What is no number is refused by CLI11.
CLI::Validator finite_number();

/// The program's calls: each add_… declares one with its options and what it does.
class CommandLine {
 public:
  CommandLine();
  /// Parses the arguments and carries out what they ask for; the exit code.
  int run(int count, char** arguments);

 private:
  using Call = std::function<int()>;

  /// A call that is carried out once everything is parsed.
  CLI::App* add(CLI::App& parent, const char* name, const char* text, Call call);
  void add_changes(CLI::App& command);
  void add_run_options(CLI::App& command);
  void add_rehash(CLI::App& command);
  void add_pipeline(CLI::App& command);

  // In run_calls.cpp.
  void add_pipeline_calls();
  void add_preview();
  void add_bench();
  void add_sweep();
  void add_compare();
  /// The options before a call that its worker processes need as well.
  std::vector<std::string> options_of_workers() const;

  // In result_calls.cpp.
  void add_report();
  void add_track();
  void add_serve();
  void add_store();
  void add_import();
  void add_export();
  void add_features();

  // In plugin_calls.cpp.
  void add_plugins();
  void add_conform();
  void add_new_and_describe();
  void add_schema();

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

}  // namespace bissl::host
