#include "support/temporary_folder.h"
#include "sweep/ablation.h"
#include "targets.h"

#include <nlohmann/json.hpp>

namespace bissl::host::test {

void fuzz_ablation(std::string_view bytes) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "study.toml";
  write_file(file, std::string(bytes));
  DiagnosticCollector diagnostics;
  const std::optional<Ablation> ablation = read_ablation(file, diagnostics);
  promise(ablation.has_value() == (diagnostics.errors() == 0),
          "there is either an ablation or an error");
  for (const Diagnostic& diagnostic : diagnostics.sorted(file.string())) {
    to_json(diagnostic).dump();
  }
  if (ablation) {
    promise(ablation->baseline.size() == ablation->axes.size(), "every axis has its baseline");
  }
}

}  // namespace bissl::host::test
