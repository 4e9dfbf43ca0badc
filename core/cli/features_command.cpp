#include "cli/features_command.h"

#include "base/json_text.h"
#include "base/spelling.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "cli/feature_files.h"
#include "cli/run_settings.h"
#include "stages/identity.h"
#include "stages/stage_kind.h"
#include "store/stage_store.h"
#include "telemetry/interrupt.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

/// The item of that name; Error(input) with the nearest names if there is none.
template <class Item>
const Item& named(const std::vector<Item>& items, const std::string& name, const char* option,
                  const char* what) {
  std::vector<std::string> names;
  for (const Item& item : items) {
    if (item.name == name) {
      return item;
    }
    names.push_back(item.name);
  }
  const std::vector<std::string> near = nearest(name, names);
  fail_input("{} {}: the pipeline has no such {}; there are {}{}", option, name, what,
             fmt::join(names, ", "),
             near.empty() ? "" : fmt::format(". Did you mean {}?", near.front()));
}

std::string key_of(const Pipeline& pipeline, const Stage& stage, DataCatalog& data) {
  StageKeys keys;
  for (const std::string& other : dependencies(stage)) {
    keys[other] = key_of(pipeline, pipeline.stage(other), data);
  }
  return identify(pipeline, stage, data, keys).key;
}

fs::path finished_folder(const PipelineArguments& arguments, const Pipeline& pipeline,
                         const Stage& stage, const std::shared_ptr<DatasetCache>& datasets) {
  DataCatalog data(pipeline, datasets);
  const std::string key = key_of(pipeline, stage, data);
  const fs::path root = store_folder(arguments.out);
  std::optional<fs::path> folder;
  if (fs::exists(root)) {
    folder = StageStore(root).find(key);
  }
  if (!folder) {
    fail_input(
        "stage.{} is not finished in the store {} (key {}): run the pipeline first; `bissl store "
        "explain` says why another run's stage is not this one",
        spelled_key(stage.name), root.string(), key.substr(0, 8));
  }
  return *folder;
}

const ViewsChoice& chosen_views(const Pipeline& pipeline, const Stage& stage,
                                const std::string& of) {
  if (of.empty()) {
    const ViewsChoice* views = scoring_views(pipeline, stage);
    if (views == nullptr) {
      fail_input(
          "no stage of the pipeline scores by views of its own; name one whose views are to "
          "be taken by --views");
    }
    return *views;
  }
  const Stage& other = named(pipeline.stages, of, "--views", "stage");
  if (const ViewsChoice* scoring = stage_kind(other.kind).scoring_views(other)) {
    return *scoring;
  }
  if (!other.table.views) {
    fail_input("--views {}: the stage makes no views", of);
  }
  return *other.table.views;
}

void refuse_existing(const std::vector<fs::path>& files, bool force) {
  for (const fs::path& file : files) {
    if (fs::exists(file) && !force) {
      fail_input("{} exists, and is not overwritten without --force", file.string());
    }
  }
}

}  // namespace

int run_features(const PipelineArguments& arguments, const FeaturesArguments& features,
                 PluginSearch& plugins, std::ostream& out, std::ostream& err) {
  checked_device(arguments.device);
  feature_files(features.to, {});  // before anything is computed
  refuse_existing({features.to}, features.force);
  const auto pipeline = read_or_report(arguments, plugins, out, err);
  if (!pipeline) {
    return exit_wrong_input;
  }
  const Stage& stage = named(pipeline->stages, features.stage, "--stage", "stage");
  const std::string data = named(pipeline->data, features.data, "--data", "data source").name;
  const auto& roles = stage_kind(stage.kind).spec().hands_on;
  if (std::find(roles.begin(), roles.end(), "backbone") == roles.end()) {
    fail_input(
        "--stage {}: a stage of kind \"{}\" has no network of its own; name the one that it "
        "continues",
        stage.name, stage.kind);
  }
  const ViewsChoice& views = chosen_views(*pipeline, stage, features.views);
  const auto datasets = arguments.make_datasets();
  const fs::path folder = finished_folder(arguments, *pipeline, stage, datasets);
  RunSettings settings = make_settings(arguments, &err);
  settings.warn = [&err](const std::string& text) { err << "warning: " << text << '\n'; };
  install_interrupt_handlers();
  const FeatureTable table = compute_features({.pipeline = *pipeline,
                                               .stage = stage,
                                               .folder = folder,
                                               .data = data,
                                               .views = views,
                                               .batch = features.batch,
                                               .network = features.network,
                                               .outputs = features.outputs,
                                               .precision = features.precision,
                                               .datasets = datasets,
                                               .settings = settings});
  const std::vector<fs::path> files = feature_files(features.to, table);
  refuse_existing(files, features.force);
  std::map<std::string, std::string> metadata = {
      {"pipeline", pipeline->name}, {"stage", stage.name}, {"data", data}};
  if (features.precision != FeaturesArguments{}.precision) {
    metadata["precision"] = features.precision;
  }
  write_features(features.to, table, metadata, *DataCatalog(*pipeline, datasets).open(data));
  std::vector<std::string> names;
  for (const fs::path& file : files) {
    names.push_back(file.string());
  }
  if (arguments.json) {
    out << json_text({{"files", names},
                      {"samples", table.features.size(0)},
                      {"features", table.features.size(1)},
                      {"targets", to_string(table.spec.kind)},
                      {"target_names", table.spec.names}},
                     2)
        << '\n';
  } else {
    out << fmt::format("{} samples, {} features each, by {}: {}\n", table.features.size(0),
                       table.features.size(1), views.describe(), fmt::join(names, ", "));
  }
  return exit_done;
}

}  // namespace bissl::host
