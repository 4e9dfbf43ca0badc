#pragma once

#include "pipeline/pipeline.h"
#include "plugins/component.h"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <vector>

namespace bissl::host {

/// What a JSON Schema of pipelines is made from.
struct JsonSchemaSources {
  const std::vector<StageKindSpec>& stage_kinds;
  const TableSpec& data_selection;  ///< the host's own keys of [data.NAME]
  const std::vector<std::shared_ptr<const RegisteredComponent>>& components;
};

/// A JSON Schema (draft 7, which editors read) of pipeline files: keys, types, bounds, choices, and
/// for each `use` and `kind` the parameters that belong to it. Documentation is in
/// "description". Since a file may include another and a stage be like another, no schema of one
/// file can know what is given elsewhere: keys are only required where nothing could bring them,
/// and rules over several values, names of stages and of data sources are left to `bissl check`.
nlohmann::json pipeline_json_schema(const JsonSchemaSources& sources);

/// The schema of a table that is declared: for documents that are not pipelines. No key is required
/// if `partial`.
nlohmann::json table_json_schema(const TableSpec& table, const JsonSchemaSources& sources,
                                 bool partial);

/// "http://json-schema.org/draft-07/schema#"
extern const char* const json_schema_dialect;

}  // namespace bissl::host
