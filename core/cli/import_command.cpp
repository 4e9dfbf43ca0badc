#include "cli/import_command.h"

#include "base/atomic_file.h"
#include "base/json_text.h"
#include "base/posix_file.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "pipeline/plain_names.h"
#include "pipeline/toml_parser.h"
#include "stages/import/fit.h"
#include "stages/import/options.h"
#include "stages/view_shapes.h"
#include "weights/coverage.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <system_error>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

void refuse_name(const Pipeline& pipeline, const std::string& name) {
  if (!is_plain_name(name)) {
    fail_input("--stage {}: this cannot name a stage; expected is {}", name, plain_name_rule());
  }
  for (const Stage& stage : pipeline.stages) {
    if (stage.name == name) {
      fail_input(
          "{} has a stage \"{}\" already, at {}, and none is overwritten: name another by "
          "--stage",
          pipeline.file.string(), name, stage.table.origin);
    }
  }
}

ChosenRule rule_of(const std::string& source) {
  if (source == detected_source) {
    return std::nullopt;
  }
  const KeyRule* rule = find_key_rule(source);
  if (rule == nullptr) {
    std::vector<std::string> names;
    for (const KeyRule& known : key_rules()) {
      names.push_back(known.name);
    }
    const std::vector<std::string> near = nearest(source, names);
    fail_input("--source {}: there is no such rule{}; `bissl describe import` lists them", source,
               near.empty() ? "" : fmt::format("; did you mean {}?", near.front()));
  }
  return *rule;
}

/// The file as the pipeline's text names it: relative to its folder if it lies below, unless the
/// pipeline is named by a link in another folder, to which the path would then be relative.
std::string path_text(const fs::path& file, const fs::path& pipeline) {
  const fs::path absolute = fs::weakly_canonical(fs::absolute(file));
  const fs::path folder = fs::weakly_canonical(fs::absolute(pipeline)).parent_path();
  const fs::path relative = absolute.lexically_relative(folder);
  const bool below = !relative.empty() && *relative.begin() != ".." &&
                     fs::weakly_canonical(fs::absolute(pipeline).parent_path()) == folder;
  return below ? relative.string() : absolute.string();
}

/// What the file says in the place of a detection, so that another version of the program
/// takes the same tensors.
std::string rule_line(const MappedWeights& mapped) {
  if (find_key_rule(mapped.rule) != nullptr) {
    return fmt::format("source = {}\n", to_toml(Value(mapped.rule)));
  }
  std::vector<std::string> dropped;
  for (const MappedTensor& tensor : mapped.dropped) {
    dropped.push_back(tensor.name);
  }
  return fmt::format("rule = {{ container = {}, prefix = {}, drop = {} }}\n",
                     to_toml(Value(mapped.container)), to_toml(Value(mapped.prefix)),
                     to_toml(Value(dropped)));
}

std::string stage_toml(const ImportArguments& import, const fs::path& pipeline,
                       const MappedWeights& mapped, const ImageShape& input) {
  std::string text =
      fmt::format("[stage.{}]\nkind = \"import\"\nfile = {}\n{}", spelled_key(import.stage),
                  to_toml(Value(path_text(import.file, pipeline))), rule_line(mapped));
  if (!import.allow.empty()) {
    text += fmt::format("allow = {}\n", to_toml(Value(import.allow)));
  }
  return text + fmt::format("channels = {}\nsize = {}\n", input.channels, input.height);
}

/// The pipeline's backbone first, then all others with their defaults.
std::vector<ComponentChoice> backbones(const Pipeline& pipeline, const Registry& registry) {
  std::vector<ComponentChoice> all = {pipeline.backbone};
  for (const auto& component : registry.components()) {
    const auto& specs = component->info.parameters;
    const bool complete = std::none_of(specs.begin(), specs.end(),
                                       [](const ParameterSpec& spec) { return spec.required; });
    if (component->info.kind == ComponentKind::backbone && complete &&
        component != pipeline.backbone.component) {
      all.push_back({component, defaults(specs), "bissl import"});
    }
  }
  return all;
}

struct Finding {
  Coverage coverage;
  std::string toml;  ///< of the stage; empty where the weights do not fit
  std::string fits;  ///< what to change so that they do; empty where nothing is known
};

Finding look_at(const Pipeline& pipeline, const ImportArguments& import, const Registry& registry,
                const ImageShape& input) {
  const WeightsFile file(import.file);
  const ChosenRule rule = rule_of(import.source);
  const NamedShapes wanted = backbone_shapes(pipeline.backbone, input);
  Finding finding;
  try {
    const MappedWeights mapped = map_weights(file, rule, wanted);
    finding.coverage = cover(file, mapped, wanted, import.allow);
    if (finding.coverage.complete()) {
      finding.toml = stage_toml(import, pipeline.file, mapped, input);
      return finding;
    }
  } catch (const Error& error) {
    throw error.at(import.file.string());
  }
  if (const auto fit = find_fit(file, rule, backbones(pipeline, registry), input)) {
    finding.fits = fit_text(*fit, pipeline.backbone, input);
  }
  return finding;
}

/// Where the pipeline is named by a link, to the file that it leads to.
void append(const fs::path& named, const std::string& toml) {
  constexpr uint64_t largest = 64 << 20;
  const fs::path pipeline = fs::canonical(named);
  const fs::perms allowed = fs::status(pipeline).permissions();
  std::string text = read_whole(pipeline, largest);
  if (!text.empty() && text.back() != '\n') {
    text += '\n';
  }
  text += "\n" + toml;
  // Behind an inline table `stage = { … }` there can be none.
  DiagnosticCollector diagnostics;
  if (!parse_toml(text, pipeline.string(), diagnostics)) {
    fail_input(
        "{} would be no TOML with the stage at its end, so nothing was written: {}Put what "
        "--dry-run prints where the other stages are",
        named.string(), to_text(diagnostics.sorted(pipeline.string())));
  }
  write_file_atomically(pipeline, text);
  std::error_code ignored;  // of somebody else's file in an own folder
  fs::permissions(pipeline, allowed, ignored);
}

void print_finding(const Finding& finding, const ImportArguments& import, std::ostream& out,
                   std::ostream& err) {
  out << import.file.string() << ": " << coverage_text(finding.coverage);
  if (!finding.toml.empty()) {
    out << '\n' << finding.toml;
    return;
  }
  try {
    require_complete(finding.coverage);
  } catch (const Error& error) {
    err << "error: " << import.file.string() << ": " << error.what() << '\n';
  }
  err << (finding.fits.empty() ? "No backbone that is loaded fits all of it\n"
                               : "All of it fits with " + finding.fits + "\n");
}

}  // namespace

int run_import_command(const PipelineArguments& arguments, const ImportArguments& import,
                       PluginSearch& plugins, std::ostream& out, std::ostream& err) {
  const auto pipeline = read_or_report(arguments, plugins, out, err);
  if (!pipeline) {
    return exit_wrong_input;
  }
  refuse_name(*pipeline, import.stage);
  const ImageShape seen =
      first_view_shape(*pipeline, arguments.make_datasets()).value_or(ImageShape{3, 224, 224});
  const ImageShape input{import.channels.value_or(seen.channels), import.size.value_or(seen.height),
                         import.size.value_or(seen.height)};
  const Finding finding = look_at(*pipeline, import, plugins.registry(), input);
  const bool fits = !finding.toml.empty();
  const bool write = fits && !import.dry_run;
  if (write) {
    append(pipeline->file, finding.toml);
  }
  if (arguments.json) {
    out << json_text({{"ok", fits},
                      {"coverage", coverage_json(finding.coverage)},
                      {"toml", fits ? nlohmann::json(finding.toml) : nlohmann::json(nullptr)},
                      {"fits", finding.fits.empty() ? nlohmann::json(nullptr)
                                                    : nlohmann::json(finding.fits)},
                      {"written",
                       write ? nlohmann::json(pipeline->file.string()) : nlohmann::json(nullptr)}},
                     2)
        << '\n';
  } else {
    print_finding(finding, import, out, err);
    if (write) {
      out << fmt::format("\nadded to {}; let a stage continue it by from = {}\n",
                         pipeline->file.string(), to_toml(Value(import.stage)));
    }
  }
  return fits ? exit_done : exit_wrong_input;
}

}  // namespace bissl::host
