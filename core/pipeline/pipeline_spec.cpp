#include "pipeline/pipeline_spec.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bissl::host {
namespace {

struct PipelineOptions {
  std::string name;
  int64_t seed = 0;
  std::vector<std::string> include;
  std::vector<std::string> unset;
};

Schema<PipelineOptions> pipeline_schema() {
  Schema<PipelineOptions> schema;
  schema.add("name", &PipelineOptions::name, "names the folder of the run").required();
  schema.add("seed", &PipelineOptions::seed, "all random numbers follow from it").at_least(0);
  schema
      .add("include", &PipelineOptions::include,
           "other files, over which this one is laid; each relative to the file that names it")
      .path();
  schema.add("unset", &PipelineOptions::unset,
             "keys of included files that are taken away: \"stage.pretrain.epochs\"");
  return schema;
}

struct PluginOptions {
  std::vector<std::string> path;
};

Schema<PluginOptions> plugin_schema() {
  Schema<PluginOptions> schema;
  schema.add("path", &PluginOptions::path, "folders with plugin libraries").path();
  return schema;
}

TableSpec make_spec() {
  TableSpec plugins;
  plugins.parameters = plugin_schema().specs();
  TableSpec data;
  data.free_keys = "a table [data.NAME] for each data source: a dataset and what is chosen of it";
  TableSpec model;
  model.components = {{"backbone", ComponentKind::backbone, true, "the network"}};
  TableSpec stages;
  stages.free_keys = "a table [stage.NAME] for each stage; what is in it depends on its `kind`";
  TableSpec lock;
  lock.free_keys = "what bissl wrote into the lock file of a run; not looked into";

  TableSpec spec;
  spec.parameters = pipeline_schema().specs();
  spec.tables = {{"plugins", plugins, false, "where more components are loaded from"},
                 {"data", data, false, "the data sources, by name"},
                 {"model", model, true, "what is trained"},
                 {"stage", stages, true, "the stages, by name"},
                 {"lock", lock, false, "a record of what was there when a run began"}};
  return spec;
}

}  // namespace

const TableSpec& pipeline_spec() {
  static const TableSpec spec = make_spec();
  return spec;
}

}  // namespace bissl::host
