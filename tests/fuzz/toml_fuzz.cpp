#include "../core/pipeline/fixture.h"
#include "targets.h"

#include "pipeline/toml_parser.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {

void fuzz_toml(std::string_view bytes) {
  static const std::vector<StageKindSpec> kinds = stage_kinds();
  static const TableSpec selection = data_selection();
  FakeComponents components;
  DiagnosticCollector diagnostics;
  const std::string text(bytes);
  const std::optional<ConfigNode> root = parse_toml(text, "p.toml", diagnostics);
  promise(root.has_value() || diagnostics.errors() > 0, "text that is refused has a diagnostic");
  parse_toml_value(text, {"--set", 0, 0});
  parse_toml_key(text);

  const TemporaryFolder folder;
  const auto file = folder.path() / "p.toml";
  write_file(file, text);
  const ReadResult result = read_pipeline({file, {}, components, kinds, selection});
  promise(result.pipeline.has_value() != has_errors(result.diagnostics),
          "there is either a pipeline or an error");
  for (const Diagnostic& diagnostic : result.diagnostics) {
    to_json(diagnostic).dump();
  }
  if (!result.pipeline) {
    return;
  }
  write_file(file, to_lock_toml(*result.pipeline));
  const ReadResult again = read_pipeline({file, {}, components, kinds, selection});
  promise(again.pipeline.has_value(), "a lock file can be read");
  promise(canonical(*again.pipeline) == canonical(*result.pipeline),
          "a lock file holds the pipeline that it was made from");
}

}  // namespace bissl::host::test
