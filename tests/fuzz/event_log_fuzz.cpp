#include "report/curves.h"
#include "support/temporary_folder.h"
#include "targets.h"

#include <cmath>

namespace bissl::host::test {

void fuzz_event_log(std::string_view bytes) {
  const TemporaryFolder folder;
  write_file(folder.path() / "events.jsonl", std::string(bytes));
  ReportData data;
  data.stages.push_back({.choices = {},
                         .repetition = "seed 0",
                         .stage = "pretrain",
                         .kind = "pretrain",
                         .key = "key",
                         .folder = folder.path(),
                         .logs = {"events.jsonl"},
                         .losses = {"loss", "lower"}});
  refusing([&] {
    for (const CurveGroup& group : learning_curves(data)) {
      for (const Curve& curve : group.curves) {
        promise(curve.steps.size() == curve.values.size(), "a curve has a value for each step");
      }
    }
  });
}

}  // namespace bissl::host::test
