#include "cli/schema_command.h"

#include "base/json_text.h"
#include "bissl/error.h"
#include "cli/exit_codes.h"
#include "data/selection.h"
#include "pipeline/json_schema.h"
#include "stages/stage_kind.h"
#include "sweep/ablation_schema.h"

#include <nlohmann/json.hpp>

namespace bissl::host {

int run_schema(const std::string& document, const Registry& registry, std::ostream& out) {
  nlohmann::json schema;
  if (document == "pipeline") {
    const auto components = registry.components();
    const TableSpec selection = selection_spec();
    schema = pipeline_json_schema(
        {.stage_kinds = stage_kinds(), .data_selection = selection, .components = components});
  } else if (document == "ablation") {
    schema = ablation_json_schema();
  } else {
    fail_input("there is no schema of \"{}\"; expected \"pipeline\" or \"ablation\"", document);
  }
  out << json_text(schema, 2) << '\n';
  return exit_done;
}

}  // namespace bissl::host
