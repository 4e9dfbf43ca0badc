#include "sweep/ablation_schema.h"

#include "pipeline/json_schema.h"
#include "sweep/ablation_spec.h"

#include <nlohmann/json.hpp>

namespace bissl::host {

using nlohmann::json;

json ablation_json_schema() {
  const std::vector<StageKindSpec> kinds;
  const std::vector<std::shared_ptr<const RegisteredComponent>> components;
  json schema = table_json_schema(
      ablation_spec(),
      {.stage_kinds = kinds, .data_selection = ablation_spec(), .components = components},
      /*partial=*/true);
  schema["title"] = "bissl ablation";
  // A key with dots and tables in tables say the same, so lists may be at any depth.
  schema["definitions"]["lists"] = {
      {"anyOf",
       {{{"type", "array"}, {"minItems", 1}, {"maxItems", most_choices}},
        {{"type", "object"}, {"additionalProperties", {{"$ref", "#/definitions/lists"}}}}}}};
  const json bounds = {
      {"type", "array"}, {"items", {{"type", "number"}}}, {"minItems", 2}, {"maxItems", 2}};
  const auto only = [](const char* key, const json& value) {
    return json{{"type", "object"},
                {"properties", {{key, value}}},
                {"required", {key}},
                {"additionalProperties", false}};
  };
  schema["definitions"]["draws"] = {
      {"anyOf",
       {only("uniform", bounds),
        only("log_uniform", bounds),
        only("choice", {{"type", "array"}, {"minItems", 1}}),
        {{"type", "object"},
         {"not",
          {{"anyOf",
            {{{"required", {"uniform"}}},
             {{"required", {"log_uniform"}}},
             {{"required", {"choice"}}}}}}},
         {"additionalProperties", {{"$ref", "#/definitions/draws"}}}}}}};
  json& properties = schema["properties"];
  properties["axes"]["additionalProperties"] = {{"$ref", "#/definitions/lists"}};
  properties["zip"]["items"]["additionalProperties"] = {{"$ref", "#/definitions/lists"}};
  properties["search"]["additionalProperties"] = {{"$ref", "#/definitions/draws"}};
  properties["exclude"]["items"]["minProperties"] = 1;
  schema["if"] = {{"not", {{"required", {"include"}}}}};
  schema["then"] = {
      {"required", {"pipeline", "metric"}},
      {"anyOf", {{{"required", {"axes"}}}, {{"required", {"zip"}}}, {{"required", {"search"}}}}}};
  return schema;
}

}  // namespace bissl::host
