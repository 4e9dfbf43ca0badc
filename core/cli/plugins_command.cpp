#include "cli/plugins_command.h"

#include "cli/description.h"
#include "cli/exit_codes.h"
#include "plugins/collector.h"
#include "plugins/load_report_json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

namespace bissl::host {
namespace {

nlohmann::json as_json(const Registry& registry) {
  nlohmann::json libraries = nlohmann::json::array();
  for (const LibraryIdentity& library : registry.libraries()) {
    libraries.push_back(library_json(library));
  }
  nlohmann::json components = nlohmann::json::array();
  for (const auto& component : registry.components()) {
    components.push_back({{"kind", to_string(component->info.kind)},
                          {"name", component->info.text.name},
                          {"summary", component->info.text.summary},
                          {"library", component->library.name},
                          {"version", component->library.version},
                          {"license", component->library.license},
                          {"path", component->library.path}});
  }
  return {{"searched", registry.report().searched},
          {"libraries", libraries},
          {"components", components},
          {"problems", registry.report().problems}};
}

void print_libraries(const Registry& registry, std::ostream& out) {
  out << "\nLibraries\n";
  if (registry.libraries().empty()) {
    out << "  none\n";
  }
  for (const LibraryIdentity& library : registry.libraries()) {
    out << fmt::format("  {} {} ({}, built by {})\n    {}\n", library.name, library.version,
                       library.license, library.compiler, library.path);
  }
}

void print_components(const Registry& registry, std::ostream& out) {
  const auto components = registry.components();
  size_t width = 0;
  for (const auto& component : components) {
    width = std::max(width, component->info.text.name.size());
  }
  out << "\nComponents\n";
  if (components.empty()) {
    out << "  none\n";
  }
  std::optional<ComponentKind> kind;
  for (const auto& component : components) {
    if (kind != component->info.kind) {
      kind = component->info.kind;
      out << fmt::format("  {}\n", to_string(*kind));
    }
    out << fmt::format("    {:<{}}  {} ({})\n", component->info.text.name, width,
                       component->info.text.summary, component->library.name);
  }
}

/// Those that are about one component, or those about a whole library, below a title.
void print_problems(const Registry& registry, const char* title, bool of_component,
                    std::ostream& out) {
  bool first = true;
  for (const LoadProblem& problem : registry.report().problems) {
    if ((problem.code == name_taken) != of_component) {
      continue;
    }
    if (first) {
      out << title << '\n';
      first = false;
    }
    out << fmt::format(
        "  {}\n    step {}, code {}\n    found     {}\n    expected  {}\n    to do     {}\n",
        problem.path, problem.step, problem.code, problem.found, problem.expected, problem.advice);
  }
}

}  // namespace

int run_plugins(const Registry& registry, bool json, std::ostream& out) {
  if (json) {
    out << dump(as_json(registry), 2) << '\n';
    return 0;
  }
  out << "Searched\n";
  for (const std::string& folder : registry.report().searched) {
    out << fmt::format("  {}\n", folder);
  }
  if (registry.report().searched.empty()) {
    out << "  no folder\n";
  }
  print_libraries(registry, out);
  print_components(registry, out);
  print_problems(registry, "\nComponents left out", true, out);
  print_problems(registry, "\nRefused", false, out);
  return 0;
}

int run_plugin_check(const std::string& library, bool json, std::ostream& out) {
  Registry registry;
  const bool loaded = registry.load_library(library, /*trusted=*/false);
  if (json) {
    out << dump(as_json(registry), 2) << '\n';
  } else if (!loaded) {
    print_problems(registry, "Refused", false, out);
  } else {
    print_libraries(registry, out);
    print_components(registry, out);
  }
  return loaded ? exit_done : exit_wrong_input;
}

}  // namespace bissl::host
