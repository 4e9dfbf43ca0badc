#pragma once

#include "pipeline/pipeline.h"
#include "pipeline/table.h"
#include "plugins/component.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace bissl::host {

/// Everything that a declaration says, for people: what it is, where it comes from, and each
/// parameter with what it accepts, its default, unit and documentation. Ends with a line break.
std::string describe_component(const RegisteredComponent& component);

/// The same for a kind of stage: parameters, components and subtables, recursively.
std::string describe_stage_kind(const StageKindSpec& kind);

/// A kind of TOML file.
struct DocumentSpec {
  std::string name;
  std::string summary;
  const TableSpec& table;
};

/// The same for a kind of file.
std::string describe_document(const DocumentSpec& document);

/// The same as data.
nlohmann::json library_json(const LibraryIdentity& library);
nlohmann::json component_json(const RegisteredComponent& component);
nlohmann::json stage_kind_json(const StageKindSpec& kind);
nlohmann::json document_json(const DocumentSpec& document);

}  // namespace bissl::host
