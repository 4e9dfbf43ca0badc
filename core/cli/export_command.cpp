#include "cli/export_command.h"

#include "base/atomic_file.h"
#include "base/json_text.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "stages/networks.h"
#include "stages/stage_kind.h"
#include "store/network_folder.h"
#include "store/safetensors.h"
#include "store/stage_record.h"
#include "weights/naming.h"
#include "weights/torch_writer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The finished stage that a path leads to: a link in a run's folder, or the store's own.
fs::path stage_folder(const fs::path& given) {
  if (fs::exists(given / stage_record_file)) {
    return fs::canonical(given);
  }
  std::vector<std::string> stages;
  if (fs::is_directory(given)) {
    for (const auto& entry : fs::directory_iterator(given)) {
      if (fs::exists(entry.path() / stage_record_file)) {
        stages.push_back((given / entry.path().filename()).string());
      }
    }
  }
  std::sort(stages.begin(), stages.end());
  fail_input("{}: no finished stage is there{}", given.string(),
             stages.empty() ? ". Expected is RUN/STAGE, a folder of a run"
                            : fmt::format("; name one of {}", fmt::join(stages, ", ")));
}

/// Where the weights of one network lie below a stage's folder.
fs::path chosen_network(const fs::path& folder, std::optional<int64_t> number) {
  std::vector<fs::path> networks;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_network_folder(entry.path().filename().string()) &&
        fs::exists(entry.path() / backbone_file)) {
      networks.push_back(entry.path());
    }
  }
  if (fs::exists(folder / backbone_file)) {
    if (number.value_or(0) != 0) {
      fail_input("--network {}: the stage has one network, number 0", *number);
    }
    return folder;
  }
  if (networks.empty()) {
    fail_input("{}: the stage has left no weights; name the one that it continues",
               folder.string());
  }
  if (!number && networks.size() > 1) {
    fail_input("the stage has trained {} networks: say which by --network, 0 to {}",
               networks.size(), networks.size() - 1);
  }
  const fs::path chosen = network_folder(folder, fmt::format("repeat-{}", number.value_or(0)));
  if (std::find(networks.begin(), networks.end(), chosen) == networks.end()) {
    fail_input("--network {}: the stage has {} networks, numbered from 0", number.value_or(0),
               networks.size());
  }
  return chosen;
}

/// The weights of a network as the stage has left them.
struct StoredNetwork {
  NamedTensors backbone;
  NamedTensors head;  ///< empty where it has none, or none is wanted
};

StoredNetwork read_network(const fs::path& folder, bool with_head) {
  StoredNetwork network;
  network.backbone = read_safetensors(folder / backbone_file).tensors;
  if (with_head) {
    network.head = read_safetensors(folder / head_file).tensors;
  }
  return network;
}

/// Backbone and head under the names that the backbone's and the task's modules give them.
NamedTensors under_own_names(const StoredNetwork& network) {
  NamedTensors tensors = network.backbone;
  for (const auto& [name, tensor] : network.head) {
    if (std::any_of(network.backbone.begin(), network.backbone.end(),
                    [&name = name](const auto& entry) { return entry.name == name; })) {
      fail_input(
          "backbone and head both have a \"{}\": write them apart, without the head by "
          "--no-head",
          name);
    }
    tensors.emplace_back(name, tensor);
  }
  return tensors;
}

/// The steps that make the views of a table in a stage's description; null if it has none.
json view_steps(const json& table) {
  const json& components = table.at("components");
  if (components.contains("augment")) {
    return components.at("augment").is_array() ? components.at("augment")
                                               : json::array({components.at("augment")});
  }
  if (components.contains("views")) {
    const json& first = components.at("views").at(0).at("augment");
    return first.is_array() ? first : json::array({first});
  }
  return nullptr;
}

/// Those of the views that a stage's networks are scored by, else of those that they are trained
/// by; null if there are none, and of kinds of stage that this program does not have.
json views_of(const json& description) {
  const std::string kind = description.at("kind").get<std::string>();
  const std::vector<StageKindSpec>& kinds = stage_kinds();
  if (std::none_of(kinds.begin(), kinds.end(),
                   [&](const StageKindSpec& one) { return one.name == kind; })) {
    return nullptr;
  }
  const json& table = description.at("table");
  for (const std::string& name : stage_kind(kind).view_tables()) {
    const json& tables = table.at("tables");
    if (!name.empty() && !tables.contains(name)) {
      continue;
    }
    if (json steps = view_steps(name.empty() ? table : tables.at(name)); !steps.is_null()) {
      return steps;
    }
  }
  return nullptr;
}

/// What the views' steps say of size and normalisation; each is null where none says it.
json input_of(const json& description) {
  json input = {{"size", nullptr}, {"mean", nullptr}, {"std", nullptr}, {"steps", json::array()}};
  const json views = views_of(description);
  for (const json& step : views.is_null() ? json::array() : views) {
    const json& values = step.at("values");
    input["steps"].push_back({{"use", step.at("name")}, {"values", values}});
    for (const char* name : {"size", "mean", "std"}) {
      if (values.contains(name) && !values.at(name).is_null()) {
        input[name] = values.at(name);
      }
    }
  }
  const json& own = description.at("table").at("values");
  if (input["size"].is_null() && own.contains("size")) {
    input["size"] = own.at("size");  // an import says for what size its network is
  }
  return input;
}

/// The names of the head's outputs, from the run's lock file and the data; null, with a warning,
/// where either cannot be read.
json classes_of(const PipelineArguments& arguments, const fs::path& given, PluginSearch& plugins,
                std::ostream& err) {
  const fs::path run = fs::absolute(given).lexically_normal().parent_path();
  const fs::path lock = run / "pipeline.lock.toml";
  try {
    if (!fs::exists(lock)) {
      fail_input("{} is not there", lock.string());
    }
    PipelineArguments quiet = arguments;
    quiet.file = lock;
    quiet.json = false;
    const auto pipeline = read_or_report(quiet, plugins, err, err);
    if (!pipeline) {
      fail_input("{} cannot be read", lock.string());
    }
    const Stage& stage =
        pipeline->stage(fs::absolute(given).lexically_normal().filename().string());
    const auto head = stage_kind(stage.kind).head(stage);
    DataCatalog data(*pipeline, arguments.make_datasets());
    return head ? json(data.open(head->data)->targets().names) : json(nullptr);
  } catch (const Error& error) {
    err << fmt::format("warning: the classes' names are left out: {}\n", error.what());
    return nullptr;
  }
}

/// What the stage's record says of its views; records of earlier versions may say it otherwise.
json known_input(const json& description, std::ostream& err) {
  try {
    return input_of(description);
  } catch (const json::exception&) {
    err << "warning: size and normalisation are left out: the stage's record has an earlier form\n";
    return nullptr;
  }
}

/// Whose names the backbone's tensors have: those of the program that is asked for, of the first
/// one that has them, or "own" where they are no program's.
std::string names_of_backbone(const NamedTensors& backbone, const ExportArguments& options) {
  if (!options.names.empty()) {
    return options.names;
  }
  std::vector<std::string> names;
  for (const auto& [name, tensor] : backbone) {
    names.push_back(name);
  }
  const std::vector<std::string> programs = programs_with_names(names);
  return programs.empty() ? "own" : programs.front();
}

/// torchvision's vision transformers make features of their class token alone, so that another
/// network would be written than what was trained.
void refuse_other_features(const StageRecord& record, const std::string& program) {
  const json values =
      record.description.value("backbone", json::object()).value("values", json::object());
  if (program == "torchvision" && values.value("pool", json()) == "mean") {
    fail_input(
        "--names torchvision: the backbone's features are the mean over its patches (pool = "
        "\"mean\"), and torchvision's are the class token: leave --names away");
  }
}

json note(const StageRecord& record, const NamedTensors& tensors, const ExportArguments& options,
          const std::string& names, bool with_head, json classes, std::ostream& err) {
  const json backbone = record.description.value("backbone", json::object());
  json shapes = json::object();
  for (const auto& [name, tensor] : tensors) {
    shapes[name] = tensor.sizes().vec();
  }
  return {{"format", options.to.extension() == ".safetensors" ? "safetensors" : "PyTorch"},
          {"names", names},
          {"backbone",
           {{"use", backbone.value("name", "a backbone")},
            {"values", backbone.value("values", json::object())}}},
          {"head", with_head},
          {"classes", std::move(classes)},
          {"input", known_input(record.description, err)},
          {"stage", {{"kind", record.description.value("kind", json())}, {"key", record.key}}},
          {"bissl", record.description.value("bissl", json())},
          {"tensors", shapes}};
}

void write_weights(const ExportArguments& options, const NamedTensors& tensors) {
  if (options.to.extension() == ".safetensors") {
    write_safetensors(options.to, tensors, {{"format", "pt"}});
  } else {
    write_torch_file(options.to, tensors);
  }
}

fs::path note_file(const fs::path& to) { return to.string() + ".json"; }

void check_target(const ExportArguments& options) {
  const std::string extension = options.to.extension().string();
  if (extension != ".safetensors" && extension != ".pth" && extension != ".pt") {
    fail_input("--to {}: weights are written as .safetensors, .pth or .pt", options.to.string());
  }
  for (const fs::path& file : {options.to, note_file(options.to)}) {
    if (fs::exists(file) && !options.force) {
      fail_input("{} exists, and is not overwritten without --force", file.string());
    }
  }
}

}  // namespace

int run_export(const PipelineArguments& arguments, const ExportArguments& options,
               PluginSearch& plugins, std::ostream& out, std::ostream& err) {
  check_target(options);
  const fs::path stage = stage_folder(options.stage);
  const StageRecord record = read_stage_record(stage);
  const fs::path network = chosen_network(stage, options.network);
  const bool with_head = !options.no_head && fs::exists(network / head_file);
  const StoredNetwork stored = read_network(network, with_head);
  refuse_other_features(record, options.names);
  const NamedTensors tensors = options.names.empty()
                                   ? under_own_names(stored)
                                   : with_names_of(options.names, stored.backbone, stored.head);
  const std::string names = names_of_backbone(stored.backbone, options);
  const json classes =
      with_head ? classes_of(arguments, options.stage, plugins, err) : json(nullptr);
  const json about = note(record, tensors, options, names, with_head, classes, err);
  write_weights(options, tensors);
  write_file_atomically(note_file(options.to), json_text(about, 2) + "\n");
  if (arguments.json) {
    out << json_text({{"file", options.to.string()}, {"note", note_file(options.to).string()}}, 2)
        << '\n';
  } else {
    out << fmt::format("{}: {} tensors of {}, {}\n{}: how to use them\n", options.to.string(),
                       tensors.size(), about.at("backbone").at("use").get<std::string>(),
                       with_head ? "with the head" : "without a head",
                       note_file(options.to).string());
  }
  return exit_done;
}

}  // namespace bissl::host
