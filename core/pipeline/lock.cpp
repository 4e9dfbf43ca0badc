#include "pipeline/lock.h"

#include "base/json_text.h"
#include "base/spelling.h"
#include "bissl/abi.h"
#include "bissl/error.h"
#include "bissl/hash.h"
#include "pipeline/diagnostics.h"
#include "pipeline/matched_stage.h"
#include "pipeline/table_reader.h"
#include "pipeline/toml_parser.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace bissl::host {
namespace {

using nlohmann::json;

json canonical_scalar(double value) {
  if (!std::isfinite(value)) {
    return to_toml(Value(value));  // JSON has no such numbers
  }
  return value == 0.0 ? 0.0 : value;  // one zero
}

template <class T>
json canonical_scalar(const T& value) {
  return value;
}

struct CanonicalValue {
  json operator()(std::monostate /*unset*/) const { return nullptr; }
  template <class T>
  json operator()(const T& value) const {
    return canonical_scalar(value);
  }
  template <class T>
  json operator()(const std::vector<T>& values) const {
    json list = json::array();
    for (const T& value : values) {
      list.push_back(canonical_scalar(value));
    }
    return list;
  }
};

/// What a path is replaced by, whose content is in a stage's key.
constexpr const char* by_content = "by its content";

/// A path, or a list of some: only whether each names anything.
json canonical_path(const Value& value) {
  json path = std::visit(CanonicalValue{}, value);
  const auto replace = [](json& text) {
    if (text.is_string() && !text.get<std::string>().empty()) {
      text = by_content;
    }
  };
  if (path.is_array()) {
    std::for_each(path.begin(), path.end(), replace);
  } else {
    replace(path);
  }
  return path;
}

/// What represents the paths among a component's parameters.
enum class Paths { as_given, by_content };

json canonical_component(const ComponentChoice& choice, Paths paths) {
  json values = json::object();
  for (const ParameterSpec& spec : choice.component->info.parameters) {
    if (!spec.execution_only()) {
      const Value& value = choice.values.at(spec.name);
      values[spec.name] = spec.is_path() && paths == Paths::by_content
                              ? canonical_path(value)
                              : std::visit(CanonicalValue{}, value);
    }
  }
  return {{"kind", to_string(choice.component->info.kind)},
          {"name", choice.component->info.text.name},
          {"library", choice.component->library.name},
          {"version", choice.component->library.version},
          {"values", values}};
}

std::string sdk_version() {
  return fmt::format("{}.{}.{}", BISSL_SDK_VERSION_MAJOR, BISSL_SDK_VERSION_MINOR,
                     BISSL_SDK_VERSION_PATCH);
}

/// Writes tables of TOML and notes the libraries of the components that it meets.
class LockWriter {
 public:
  void line(const std::string& key, const Value& value) {
    if (type_of(value) != ValueType::none) {
      text_ += fmt::format("{} = {}\n", spelled_key(key), to_toml(value));
    }
  }

  void comment(const std::string& text) { text_ += fmt::format("# {}\n", text); }

  void header(const std::string& path) { text_ += fmt::format("\n[{}]\n", path); }

  /// Begins the next item of an array of tables.
  void array_header(const std::string& path) { text_ += fmt::format("\n[[{}]]\n", path); }

  void values(const ParameterValues& values) {
    for (const auto& [name, value] : values) {
      line(name, value);
    }
  }

  void component(const ComponentChoice& choice) {
    libraries_[choice.component->library.name] = choice.component->library.version;
    line("use", choice.component->qualified_name());
    values(choice.values);
  }

  /// The host's keys of a data source; those that the dataset declares, too, in a table of their
  /// own.
  void selection(const DataSource& source, const std::string& path) {
    ParameterValues hidden;
    for (const auto& [name, value] : source.selection.values) {
      if (source.dataset.values.count(name) == 0) {
        line(name, value);
      } else if (type_of(value) != ValueType::none) {
        hidden.emplace(name, value);
      }
    }
    if (!hidden.empty()) {
      header(path + "." + host_subtable);
      values(hidden);
    }
  }

  void augment(const AugmentChoice& choice, const std::string& key) {
    for (const ComponentChoice& step : choice.steps) {
      if (choice.is_chain) {
        array_header(key);
      } else {
        header(key);
      }
      component(step);
    }
  }

  void views(const ViewsChoice& choice, const std::string& path) {
    if (!choice.declares_number) {
      augment(choice.groups.front().augment, path + ".augment");
      return;
    }
    for (const ViewGroup& group : choice.groups) {
      array_header(path + ".views");
      line("count", group.count);
      augment(group.augment, path + ".views.augment");
    }
  }

  /// What a table holds besides its values, each under a header of its own.
  void below(const Table& table, const std::string& path) {
    for (const auto& [name, choice] : table.components) {
      const std::string key = path + "." + spelled_key(name);
      header(key);
      component(choice);
    }
    if (table.views) {
      views(*table.views, path);
    }
    for (const auto& [name, subtable] : table.tables) {
      const std::string key = path + "." + spelled_key(name);
      header(key);
      values(subtable.values);
      below(subtable, key);
    }
    for (const auto& [name, items] : table.lists) {
      const std::string key = path + "." + spelled_key(name);
      for (const Table& item : items) {
        array_header(key);
        values(item.values);
        below(item, key);
      }
    }
  }

  const std::map<std::string, std::string>& libraries() const { return libraries_; }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  std::map<std::string, std::string> libraries_;
};

/// What replaces a data source's name.
using StandIn = std::function<json(const std::string&)>;

/// A value that names data sources, by what they are; an empty text names none.
json named_data(const Value& value, const StandIn& stand_in) {
  if (const auto* text = std::get_if<std::string>(&value); text != nullptr && !text->empty()) {
    return stand_in(*text);
  }
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    json list = json::array();
    for (const std::string& text : *texts) {
      list.push_back(stand_in(text));
    }
    return list;
  }
  return std::visit(CanonicalValue{}, value);
}

json canonical_table(const Table& table, const StandIn& stand_in) {
  json values = json::object();
  for (const auto& [name, value] : table.values) {
    const auto absence = table.absences.find(name);
    const bool absent = absence != table.absences.end() && absence->second == value;
    if (table.execution_only.count(name) == 0 && !absent) {
      values[name] = table.data_keys.count(name) == 0 ? std::visit(CanonicalValue{}, value)
                                                      : named_data(value, stand_in);
    }
  }
  json components = json::object();
  if (table.views && table.views->declares_number) {
    json& views = components["views"] = json::array();
    for (const ViewGroup& group : table.views->groups) {
      views.push_back({{"count", group.count}, {"augment", canonical(group.augment)}});
    }
  } else if (table.views) {
    components["augment"] = canonical(table.views->groups.front().augment);
  }
  for (const auto& [name, choice] : table.components) {
    components[name] = canonical(choice);
  }
  json tables = json::object();
  for (const auto& [name, subtable] : table.tables) {
    if (table.execution_only.count(name) == 0) {
      tables[name] = canonical_table(subtable, stand_in);
    }
  }
  json all = {{"values", values}, {"components", components}, {"tables", tables}};
  for (const auto& [name, items] : table.lists) {
    json& list = all["lists"][name] = json::array();
    for (const Table& item : items) {
      list.push_back(canonical_table(item, stand_in));
    }
  }
  return all;
}

}  // namespace

json canonical(const AugmentChoice& choice) {
  if (!choice.is_chain) {
    return canonical(choice.steps.front());
  }
  json steps = json::array();
  for (const ComponentChoice& step : choice.steps) {
    steps.push_back(canonical(step));
  }
  return steps;
}

json canonical(const ComponentChoice& choice) {
  return canonical_component(choice, Paths::by_content);
}

json canonical(const Table& table) {
  return canonical_table(table, [](const std::string& name) { return json(name); });
}

json canonical(const DataSource& source) {
  // The fingerprint of the data does not say which of its files a path chose.
  return {{"dataset", canonical_component(source.dataset, Paths::as_given)},
          {"selection", canonical(source.selection)}};
}

json canonical(const Pipeline& pipeline) {
  json data = json::object();
  for (const DataSource& source : pipeline.data) {
    data[source.name] = canonical(source);
  }
  json stages = json::object();
  for (const Stage& stage : pipeline.stages) {
    stages[stage.name] = {
        {"kind", stage.kind}, {"from", stage.from}, {"table", canonical(stage.table)}};
  }
  return {{"name", pipeline.name},
          {"seed", pipeline.seed},
          {"data", data},
          {"backbone", canonical(pipeline.backbone)},
          {"stages", stages}};
}

json stage_description(const Pipeline& pipeline, const Stage& stage,
                       const std::map<std::string, std::string>& data_fingerprints,
                       const std::string& parent_key, const std::string& matched_key) {
  const auto stand_in = [&](const std::string& name) {
    const auto fingerprint = data_fingerprints.find(name);
    if (fingerprint == data_fingerprints.end()) {
      fail_run("stage \"{}\": no fingerprint of its data source \"{}\"", stage.name, name);
    }
    return json{{"source", canonical(pipeline.data_source(name))},
                {"fingerprint", fingerprint->second}};
  };
  json description = {{"format", stage_key_format},
                      {"kind", stage.kind},
                      {"table", canonical_table(stage.table, stand_in)},
                      {"backbone", canonical(pipeline.backbone)},
                      {"seed", pipeline.seed},
                      {"parent", parent_key},
                      {"sdk", sdk_version()},
                      {"bissl", BISSL_VERSION},
                      {"torch", TORCH_VERSION}};
  if (stage.table.has_table(match_key)) {
    json& tables = description["table"]["tables"];
    description["match"] = {{"stage", matched_key}, {"by", tables[match_key]["values"]["by"]}};
    tables.erase(match_key);
  }
  return description;
}

std::string identity_of(const Pipeline& pipeline,
                        const std::vector<std::pair<std::string, std::string>>& notes) {
  json all = {{"pipeline", canonical(pipeline)}, {"sdk", sdk_version()}};
  for (const auto& [key, text] : notes) {
    all["notes"][key] = text;
  }
  return hash_hex(json_text(all));
}

std::string identity_in_lock(const std::string& lock) {
  DiagnosticCollector ignored;
  const std::optional<ConfigNode> root = parse_toml(lock, "lock", ignored);
  const ConfigEntry* identity = root ? root->find_path("lock.identity") : nullptr;
  const std::string* text = identity == nullptr ? nullptr : identity->value.as_text();
  return text == nullptr ? "" : *text;
}

std::string to_lock_toml(const Pipeline& pipeline,
                         const std::vector<std::pair<std::string, std::string>>& notes) {
  LockWriter writer;
  writer.line("name", pipeline.name);
  writer.line("seed", static_cast<int64_t>(pipeline.seed));
  if (!pipeline.plugin_folders.empty()) {
    std::vector<std::string> folders;
    for (const auto& folder : pipeline.plugin_folders) {
      if (is_utf8(folder.string())) {
        folders.push_back(folder.string());
      }
    }
    writer.header("plugins");
    if (folders.size() < pipeline.plugin_folders.size()) {
      writer.comment(
          "A folder is left out whose name is not UTF-8, which TOML cannot hold: name it in "
          "BISSL_PLUGIN_PATH.");
    }
    writer.line("path", folders);
  }
  for (const DataSource& source : pipeline.data) {
    const std::string path = "data." + spelled_key(source.name);
    writer.header(path);
    writer.component(source.dataset);
    writer.selection(source, path);
    writer.below(source.selection, path);
  }
  writer.header("model.backbone");
  writer.component(pipeline.backbone);
  for (const Stage& stage : pipeline.stages) {
    const std::string path = "stage." + spelled_key(stage.name);
    writer.header(path);
    writer.line("kind", stage.kind);
    writer.line("from", stage.from.empty() ? std::string("scratch") : stage.from);
    writer.values(stage.table.values);
    writer.below(stage.table, path);
  }
  writer.header("lock");
  writer.line("sdk", sdk_version());
  writer.line("identity", identity_of(pipeline, notes));
  for (const auto& [key, text] : notes) {
    writer.line(key, text);
  }
  writer.header("lock.libraries");
  for (const auto& [library, version] : writer.libraries()) {
    writer.line(library, version);
  }
  return writer.take();
}

}  // namespace bissl::host
