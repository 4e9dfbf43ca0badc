#include "pipeline/matched_stage.h"

namespace bissl::host {

std::string matched_stage(const Stage& stage) {
  if (!stage.table.has_table(match_key)) {
    return "";
  }
  const ParameterValues& values = stage.table.table(match_key).values;
  const auto name = values.find("stage");
  const auto* text = name == values.end() ? nullptr : std::get_if<std::string>(&name->second);
  return text == nullptr ? "" : *text;
}

}  // namespace bissl::host
