#include "pipeline/reader.h"

#include "base/exception_text.h"
#include "pipeline/config_loader.h"
#include "pipeline/matched_stage.h"
#include "pipeline/path_fault.h"
#include "pipeline/pipeline_spec.h"
#include "pipeline/plain_names.h"
#include "pipeline/stage_graph.h"
#include "pipeline/table_reader.h"
#include "pipeline/unset_keys.h"

#include <fmt/format.h>

#include <algorithm>

namespace bissl::host {
namespace {

namespace fs = std::filesystem;

constexpr size_t most_data_sources = 1000;

/// The table of a stage whose length is given by `match`: no other key may give it. Its rules are
/// asked as if it had one step.
TableSpec as_long_as_another(TableSpec spec) {
  spec.check = [inner = spec.check](ParameterValues values) {
    std::vector<Finding> findings;
    for (const char* key : {"epochs", "steps"}) {
      const auto value = values.find(key);
      if (value != values.end() && type_of(value->second) != ValueType::none) {
        findings.push_back(
            {Finding::Severity::error, key,
             fmt::format("{} and {} are both given; give one of them", key, match_key)});
        return findings;
      }
    }
    if (values.count("steps") != 0) {
      values["steps"] = int64_t{1};
    }
    return inner ? inner(values) : findings;
  };
  return spec;
}

class PipelineReader {
 public:
  explicit PipelineReader(const ReadRequest& request)
      : request_(request), tables_(request.components, diagnostics_) {}

  ReadResult read() {
    const std::optional<ConfigNode> root =
        request_.root ? request_.root
                      : load_config(request_.file, {request_.overrides, request_.unset},
                                    merge_rules(request_.data_selection), diagnostics_);
    if (root) {
      report_unset(root->unset, *root, "", diagnostics_);
      tables_.defaults_are_written(root->find("lock") != nullptr);
      load_plugins(*root);
      request_.components.finish();
      tables_.refuse_unknown(*root, "", keys_of(pipeline_spec()));
      read_name(*root);
      read_seed(*root);
      read_data(*root);
      read_model(*root);
      read_stages(*root);
      if (diagnostics_.errors() == 0 && request_.warn_of_unused_data) {
        warn_about_unused_data(*root);
      }
    }
    ReadResult result;
    result.diagnostics = diagnostics_.sorted(request_.file.string());
    if (diagnostics_.errors() == 0) {
      pipeline_.file = request_.file;
      result.pipeline = std::move(pipeline_);
    }
    return result;
  }

 private:
  /// The top-level table of that name; reports what is no table.
  const ConfigNode* table(const ConfigNode& root, const std::string& key,
                          const std::string& accepted) {
    const ConfigEntry* entry = root.find(key);
    if (entry == nullptr) {
      return nullptr;
    }
    if (!entry->value.is_table()) {
      diagnostics_.error(entry->value.at, key, describe_given(entry->value), accepted);
      return nullptr;
    }
    return &entry->value;
  }

  void load_plugins(const ConfigNode& root) {
    const std::string accepted = "an array of folders: path = [\"my-plugins\"]";
    const ConfigNode* plugins = table(root, "plugins", "a table with " + accepted);
    if (plugins == nullptr) {
      return;
    }
    tables_.refuse_unknown(*plugins, "plugins", {"path"});
    const ConfigEntry* path = plugins->find("path");
    if (path == nullptr) {
      return;
    }
    if (path->value.type != ConfigNode::Type::array) {
      diagnostics_.error(path->value.at, "plugins.path", describe_given(path->value), accepted);
      return;
    }
    for (const ConfigNode& item : path->value.items) {
      if (const auto* folder = std::get_if<std::string>(&item.scalar)) {
        load_folder(*folder, item.at);
      } else {
        diagnostics_.error(item.at, "plugins.path", describe_given(item), "the path of a folder");
      }
    }
  }

  void load_folder(const std::string& text, const Location& at) {
    if (const std::string fault = path_fault(text); !fault.empty()) {
      diagnostics_.error(at, "plugins.path", fault);
      return;
    }
    const fs::path base = at.line == 0 ? fs::path() : fs::path(at.file).parent_path();
    std::error_code failed;
    fs::path folder = fs::absolute(base / text, failed).lexically_normal();
    if (failed) {
      folder = base / text;
    }
    pipeline_.plugin_folders.push_back(folder);
    try {
      for (const FolderProblem& problem : request_.components.add_folder(folder)) {
        // A library that is refused matters only if the pipeline needs it, which shows later.
        if (problem.is_folder) {
          diagnostics_.error(at, "plugins.path", problem.message);
        } else {
          diagnostics_.warning(at, "plugins.path", problem.message);
        }
      }
    } catch (const std::exception& exception) {
      diagnostics_.error(at, "plugins.path", exception_text(exception));
    }
  }

  void read_name(const ConfigNode& root) {
    const ConfigEntry* entry = root.find("name");
    if (entry == nullptr) {
      diagnostics_.missing(root.at, "name", "this required key is missing", plain_name_rule());
      return;
    }
    const std::string* name = root.text("name");
    if (name == nullptr) {
      diagnostics_.error(entry->value.at, "name", describe_given(entry->value), plain_name_rule());
    } else if (!is_plain_name(*name)) {
      diagnostics_.error(entry->value.at, "name",
                         fmt::format("{} cannot name a pipeline", to_toml(Value(shortened(*name)))),
                         plain_name_rule());
    } else {
      pipeline_.name = *name;
    }
  }

  void read_seed(const ConfigNode& root) {
    const ConfigEntry* entry = root.find("seed");
    if (entry == nullptr) {
      return;
    }
    const std::vector<ParameterSpec>& specs = pipeline_spec().parameters;
    const auto spec = std::find_if(specs.begin(), specs.end(),
                                   [](const ParameterSpec& one) { return one.name == "seed"; });
    pipeline_.seed =
        static_cast<uint64_t>(std::get<int64_t>(tables_.read_value(entry->value, *spec, "seed")));
  }

  void read_data(const ConfigNode& root) {
    const ConfigNode* data = table(root, "data", "a table [data.NAME] for each data source");
    if (data == nullptr) {
      return;
    }
    if (data->entries.size() > most_data_sources) {
      diagnostics_.error(data->at, "data",
                         fmt::format("there are {} data sources", data->entries.size()),
                         fmt::format("at most {}", most_data_sources));
      return;
    }
    for (const ConfigEntry& entry : data->entries) {
      if (!refuse_stray_override(*data, entry, "data", "use", "data source", diagnostics_)) {
        read_data_source(entry);
      }
    }
  }

  void read_data_source(const ConfigEntry& entry) {
    const std::string path = joined_key("data", entry.key);
    data_names_.push_back(entry.key);
    if (!is_plain_name(entry.key)) {
      diagnostics_.error(entry.key_at, path, "this cannot name a data source", plain_name_rule());
    }
    if (!entry.value.is_table()) {
      diagnostics_.error(entry.value.at, path, describe_given(entry.value),
                         "a table that names a dataset: { use = \"NAME\", … }");
      return;
    }
    const TableSpec& selection = request_.data_selection;
    DataSource source;
    source.name = entry.key;
    std::vector<std::string> host_keys = keys_of(selection);
    host_keys.emplace_back(host_subtable);
    source.dataset = tables_.read_component(entry.value, ComponentKind::dataset, path, host_keys);
    source.selection = tables_.read_host_keys(entry.value, source.dataset, selection, path);
    pipeline_.data.push_back(std::move(source));
  }

  void read_model(const ConfigNode& root) {
    const std::string accepted = "a table [model.backbone]: { use = \"NAME\", … }";
    const ConfigEntry* present = root.find("model");
    const ConfigNode* model = table(root, "model", "a table with " + accepted);
    if (model == nullptr) {
      if (present == nullptr) {
        diagnostics_.missing(root.at, "model.backbone", "this required key is missing", accepted);
      }
      return;
    }
    tables_.refuse_unknown(*model, "model", {"backbone"});
    const ConfigEntry* backbone = model->find("backbone");
    if (backbone == nullptr) {
      diagnostics_.missing(model->at, "model.backbone", "this required key is missing", accepted);
    } else if (!backbone->value.is_table()) {
      diagnostics_.error(backbone->value.at, "model.backbone", describe_given(backbone->value),
                         accepted);
    } else {
      pipeline_.backbone =
          tables_.read_component(backbone->value, ComponentKind::backbone, "model.backbone");
    }
  }

  void read_stages(const ConfigNode& root) {
    const std::string accepted = "a table [stage.NAME] for each stage, at least one";
    const ConfigEntry* present = root.find("stage");
    const ConfigNode* stages = table(root, "stage", accepted);
    if (present == nullptr || (stages != nullptr && stages->entries.empty())) {
      diagnostics_.missing(present == nullptr ? root.at : stages->at, "stage", "there is no stage",
                           accepted);
    }
    if (stages == nullptr) {
      return;
    }
    tables_.accept_data(data_names_);
    for (StageDraft& draft : StageGraph(request_.stage_kinds, diagnostics_).resolve(*stages)) {
      read_stage(draft);
    }
  }

  void read_stage(StageDraft& draft) {
    if (draft.kind == nullptr) {
      return;  // which keys belong in it is not known
    }
    const StageKindSpec& kind = *draft.kind;
    const std::string path = joined_key("stage", draft.name);
    Stage stage;
    stage.name = draft.name;
    stage.kind = kind.name;
    stage.from = draft.from;
    tables_.report_missing(!draft.incomplete);
    const bool is_matched = draft.table.find(match_key) != nullptr;
    stage.table =
        tables_.read_table(draft.table, is_matched ? as_long_as_another(kind.table) : kind.table,
                           path, {"kind", "from", "like", "unset"});
    tables_.report_missing(true);
    pipeline_.stages.push_back(std::move(stage));
  }

  void warn_about_unused_data(const ConfigNode& root) {
    const ConfigEntry* data = root.find("data");
    if (data == nullptr) {
      return;
    }
    for (const ConfigEntry& entry : data->value.entries) {
      if (tables_.named_data().count(entry.key) == 0) {
        diagnostics_.warning(entry.key_at, joined_key("data", entry.key),
                             "no stage uses this data source");
      }
    }
  }

  const ReadRequest& request_;
  DiagnosticCollector diagnostics_;
  TableReader tables_;
  Pipeline pipeline_;
  std::vector<std::string> data_names_;
};

}  // namespace

ReadResult read_pipeline(const ReadRequest& request) { return PipelineReader(request).read(); }

}  // namespace bissl::host
