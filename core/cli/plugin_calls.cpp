// The calls about plugins, their components and what files may say.

#include "cli/command_line_calls.h"

#include "stages/stage_kind.h"

#include <chrono>
#include <iostream>

namespace bissl::host {

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
  conform
      ->add_option("--component", conformance_.components,
                   "NAME: try this component of the library alone; may be given again for others")
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
      app_, "describe",
      "the parameters of a component, a kind of stage or a kind of file; the formula of a figure",
      [this] {
        return with_plugins(false, [this](Registry& registry, PluginSearch& search) {
          search.finish();
          return run_describe(registry, stage_kinds(), name_, pipeline_.json, std::cout, std::cerr);
        });
      });
  describe->add_option(
      "name", name_,
      "a component, a kind of stage, a figure, a probe, \"pipeline\" or \"sweep\"; without "
      "it, all");
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

}  // namespace bissl::host
