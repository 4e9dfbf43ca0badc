#include "pipeline/json_schema.h"

#include "base/json_text.h"
#include "pipeline/pipeline_spec.h"
#include "pipeline/table_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

namespace bissl::host {

const char* const json_schema_dialect = "http://json-schema.org/draft-07/schema#";

namespace {

using nlohmann::json;
using Components = std::vector<std::shared_ptr<const RegisteredComponent>>;

const char* type_name(ValueType type) {
  switch (type) {
    case ValueType::boolean:
      return "boolean";
    case ValueType::integer:
    case ValueType::integers:
      return "integer";
    case ValueType::floating:
    case ValueType::floats:
      return "number";
    case ValueType::string:
    case ValueType::strings:
    case ValueType::none:
      break;
  }
  return "string";
}

/// Of a value, or of each in a list.
json element_schema(const ParameterSpec& spec) {
  json schema = {{"type", type_name(spec.type)}};
  if (spec.type == ValueType::strings && spec.choices.empty()) {
    schema["type"] = {"string", "integer"};  // a list of integers serves for one of texts
  }
  if (!spec.choices.empty()) {
    schema["enum"] = spec.choices;
  }
  if (std::isfinite(spec.minimum)) {
    schema[spec.minimum_excluded ? "exclusiveMinimum" : "minimum"] = spec.minimum;
  }
  if (std::isfinite(spec.maximum)) {
    schema[spec.maximum_excluded ? "exclusiveMaximum" : "maximum"] = spec.maximum;
  }
  return schema;
}

struct DefaultValue {
  json operator()(std::monostate /*unset*/) const { return nullptr; }
  template <class T>
  json operator()(const T& value) const {
    return value;
  }
};

std::string description_of(const ParameterSpec& spec) {
  std::string text = fmt::format("{} ({}", spec.doc, spec.accepted());
  if (!spec.unit.empty()) {
    text += "; unit: " + spec.unit;
  }
  for (const EffectCondition& condition : spec.only_with) {
    text += "; only " + condition.text();
  }
  if (type_of(spec.default_value) != ValueType::none) {
    text += "; default " + to_toml(spec.default_value);
  }
  return text + ")";
}

json parameter_schema(const ParameterSpec& spec) {
  json schema = element_schema(spec);
  if (spec.is_list()) {
    json list = {{"type", "array"}, {"items", schema}};
    if (spec.length) {
      list["minItems"] = *spec.length;
      list["maxItems"] = *spec.length;
    }
    schema = spec.accepts_one() ? json{{"anyOf", {list, schema}}} : list;
  }
  if (spec.traits.count(takes_auto) != 0) {
    schema = json{{"anyOf", {schema, json{{"const", auto_value}}}}};
  }
  schema["description"] = description_of(spec);
  if (type_of(spec.default_value) != ValueType::none) {
    schema["default"] = std::visit(DefaultValue{}, spec.default_value);
  }
  return schema;
}

/// Properties that have one schema or another, depending on what else is given. Editors complete by
/// these: they look into "properties" and "anyOf", not into "then".
json unions(const std::map<std::string, std::vector<json>>& schemas) {
  json properties = json::object();
  for (const auto& [name, all] : schemas) {
    json different = json::array();
    for (const json& schema : all) {
      if (std::find(different.begin(), different.end(), schema) == different.end()) {
        different.push_back(schema);
      }
    }
    properties[name] = different.size() == 1 ? different.front() : json{{"anyOf", different}};
  }
  return properties;
}

/// Builds one schema; what several places share goes to "definitions".
class SchemaWriter {
 public:
  SchemaWriter(const JsonSchemaSources& sources, bool partial)
      : sources_(sources), partial_(partial) {}

  json table(const TableSpec& spec, json own_properties = json::object());
  json component(ComponentKind kind);
  json stage();
  json data_source();
  json finish(json root);

 private:
  json reference(const std::string& definition) const {
    return {{"$ref", "#/definitions/" + definition}};
  }
  void add_properties(const TableSpec& spec, json& properties);
  void add_views(const AugmentSlot& slot, json& properties);
  json choice_by_use(ComponentKind kind, const json& host_properties);
  json unset_keys() const;

  const JsonSchemaSources& sources_;
  bool partial_;
  json definitions_ = json::object();
};

/// `augment`, an augmentation or a chain of transforms, and `views`.
void SchemaWriter::add_views(const AugmentSlot& slot, json& properties) {
  const json chain = {
      {"type", "array"}, {"items", component(ComponentKind::transform)}, {"minItems", 1}};
  const json augment = {{"anyOf", {component(ComponentKind::augmentation), chain}},
                        {"description", slot.doc}};
  properties["augment"] = augment;
  if (slot.several_views) {
    json group = {{"type", "object"}, {"additionalProperties", false}};
    group["properties"] = {{"count", {{"type", "integer"}, {"minimum", 1}, {"default", 1}}},
                           {"augment", augment}};
    group["required"] = {"augment"};
    properties["views"] = {{"type", "array"},
                           {"items", std::move(group)},
                           {"minItems", 1},
                           {"description", "groups of views that differ, instead of augment"}};
  }
}

void SchemaWriter::add_properties(const TableSpec& spec, json& properties) {
  for (const ParameterSpec& parameter : spec.parameters) {
    properties[parameter.name] = parameter_schema(parameter);
  }
  if (spec.augment) {
    add_views(*spec.augment, properties);
  }
  for (const ComponentSlot& slot : spec.components) {
    // Beside "$ref" draft 7 ignores everything else.
    properties[slot.name] = {{"allOf", {component(slot.kind)}}, {"description", slot.doc}};
  }
  for (const SubtableSpec& subtable : spec.tables) {
    json schema = table(subtable.table);
    if (subtable.list) {
      schema = {{"type", "array"}, {"items", std::move(schema)}};
    } else if (subtable.or_list) {
      const json several = {{"type", "array"}, {"items", schema}, {"minItems", 1}};
      schema = json{{"anyOf", {schema, several}}};
    }
    schema["description"] = subtable.doc;
    properties[subtable.name] = std::move(schema);
  }
}

json SchemaWriter::table(const TableSpec& spec, json own_properties) {
  json properties = std::move(own_properties);
  add_properties(spec, properties);
  json schema = {{"type", "object"},
                 {"properties", std::move(properties)},
                 {"additionalProperties", !spec.free_keys.empty()}};
  for (const std::vector<std::string>& group : spec.exclusive) {
    for (size_t i = 0; i < group.size(); ++i) {
      for (size_t k = i + 1; k < group.size(); ++k) {
        schema["allOf"].push_back({{"not", {{"required", {group[i], group[k]}}}}});
      }
    }
  }
  if (!partial_) {
    for (const ParameterSpec& parameter : spec.parameters) {
      if (parameter.required) {
        schema["required"].push_back(parameter.name);
      }
    }
  }
  return schema;
}

/// The table of a component of this kind: the keys that it accepts depend on `use`. Without one, as
/// in a table that changes what a parent or an included file gave, it may be of any component.
json SchemaWriter::choice_by_use(ComponentKind kind, const json& host_properties) {
  json names = json::array();
  std::map<std::string, std::vector<json>> any;
  json choices = json::array();
  for (const auto& component : sources_.components) {
    if (component->info.kind != kind) {
      continue;
    }
    const json own = {component->info.text.name, component->qualified_name()};
    names.insert(names.end(), own.begin(), own.end());
    json properties = host_properties;
    for (const ParameterSpec& parameter : component->info.parameters) {
      properties[parameter.name] = parameter_schema(parameter);
      any[parameter.name].push_back(properties[parameter.name]);
      if (host_properties.contains(parameter.name)) {
        any[parameter.name].push_back(host_properties[parameter.name]);
      }
    }
    properties["use"] = {{"description", component->info.text.summary}};
    const std::string definition =
        fmt::format("{} {}", to_string(kind), component->qualified_name());
    std::string name = definition;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == ' ' || c == '/'; }, '-');
    definitions_[name] = {
        {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
    choices.push_back({{"if", {{"properties", {{"use", {{"enum", own}}}}}, {"required", {"use"}}}},
                       {"then", reference(name)}});
  }
  json all = host_properties;
  all.update(unions(any));
  all["use"] = {{"type", "string"},
                {"enum", std::move(names)},
                {"description", "the component, by its name or as LIBRARY/NAME"}};
  json schema = {
      {"type", "object"}, {"properties", std::move(all)}, {"additionalProperties", false}};
  if (!choices.empty()) {
    schema["allOf"] = std::move(choices);
  }
  return schema;
}

json SchemaWriter::component(ComponentKind kind) {
  const std::string name = to_string(kind);
  if (!definitions_.contains(name)) {
    definitions_[name] = choice_by_use(kind, json::object());
  }
  return reference(name);
}

json SchemaWriter::data_source() {
  json host = json::object();
  add_properties(sources_.data_selection, host);
  host[host_subtable] = table(sources_.data_selection);
  host[host_subtable]["description"] =
      "the program's own keys, for datasets with parameters of the same names";
  definitions_["data"] = choice_by_use(ComponentKind::dataset, host);
  return reference("data");
}

json SchemaWriter::unset_keys() const {
  return {{"type", "array"},
          {"items", {{"type", "string"}}},
          {"description", "keys that are taken away from what lies below"}};
}

/// The keys that [stage.NAME] accepts depend on `kind`; without one, as in a stage that is like
/// another, it may be of any kind.
json SchemaWriter::stage() {
  json own = {
      {"from",
       {{"type", "string"},
        {"description",
         "the stage that it continues from, or "
         "\"scratch\""}}},
      {"like", {{"type", "string"}, {"description", "the stage whose table it takes over"}}},
      {"unset", unset_keys()}};
  json kinds = json::array();
  std::map<std::string, std::vector<json>> any;
  json choices = json::array();
  for (const StageKindSpec& kind : sources_.stage_kinds) {
    kinds.push_back(kind.name);
    json properties = own;
    properties["kind"] = {{"description", kind.summary}};
    json schema = table(kind.table, properties);
    for (const auto& [key, property] : schema["properties"].items()) {
      if (key != "kind" && !own.contains(key)) {
        any[key].push_back(property);
      }
    }
    definitions_["stage-" + kind.name] = std::move(schema);
    choices.push_back(
        {{"if", {{"properties", {{"kind", {{"const", kind.name}}}}}, {"required", {"kind"}}}},
         {"then", reference("stage-" + kind.name)}});
  }
  json all = own;
  all.update(unions(any));
  all["kind"] = {
      {"type", "string"}, {"enum", std::move(kinds)}, {"description", "the kind of stage"}};
  definitions_["stage"] = {{"type", "object"},
                           {"properties", std::move(all)},
                           {"additionalProperties", false},
                           {"allOf", std::move(choices)}};
  return reference("stage");
}

json SchemaWriter::finish(json root) {
  json schema = {{"$schema", json_schema_dialect}};
  schema.update(root);
  if (!definitions_.empty()) {
    schema["definitions"] = std::move(definitions_);
  }
  return schema;
}

}  // namespace

json pipeline_json_schema(const JsonSchemaSources& sources) {
  SchemaWriter writer(sources, /*partial=*/true);
  json root = writer.table(pipeline_spec());
  root["title"] = "bissl pipeline";
  root["properties"]["data"]["additionalProperties"] = writer.data_source();
  root["properties"]["stage"]["additionalProperties"] = writer.stage();
  // A file that includes no other is whole.
  root["if"] = {{"not", {{"required", {"include"}}}}};
  root["then"] = {{"required", {"name", "model", "stage"}}};
  return writer.finish(std::move(root));
}

json table_json_schema(const TableSpec& table, const JsonSchemaSources& sources, bool partial) {
  SchemaWriter writer(sources, partial);
  return writer.finish(writer.table(table));
}

}  // namespace bissl::host
