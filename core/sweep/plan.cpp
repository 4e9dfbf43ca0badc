#include "sweep/plan.h"

#include "bissl/error.h"
#include "pipeline/toml_parser.h"

namespace bissl::host {

Pipeline read_unit(const PlanUnit& unit, const PipelineSources& sources) {
  DiagnosticCollector diagnostics;
  std::optional<ConfigNode> root = parse_toml(unit.lock, "pipeline.lock.toml", diagnostics);
  if (!root) {
    fail_input("the sweep's plan holds no pipeline: {}", to_text(diagnostics.sorted("")));
  }
  ReadResult read = read_pipeline({.file = "pipeline.lock.toml",
                                   .overrides = {},
                                   .components = sources.components,
                                   .stage_kinds = sources.stage_kinds,
                                   .data_selection = sources.data_selection,
                                   .root = std::move(root),
                                   .warn_of_unused_data = false});
  if (!read.pipeline) {
    fail_input("the components are no longer those of the sweep's plan: {}",
               to_text(read.diagnostics));
  }
  return std::move(*read.pipeline);
}

}  // namespace bissl::host
