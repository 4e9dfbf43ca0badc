#include "stages/batch_statistics.h"

#include "bissl/error.h"

#include <variant>

namespace bissl::host {
namespace {

/// Synchronised where the stage has no such key.
BatchStatistics statistics_of(const Table& table) {
  const auto found = table.values.find(batch_norm_key);
  const auto* text =
      found == table.values.end() ? nullptr : std::get_if<std::string>(&found->second);
  const BatchStatistics statistics =
      text == nullptr ? BatchStatistics::synchronised : batch_statistics_named(*text);
  if (statistics == BatchStatistics::local && table.has_table("audit")) {
    fail_input(
        "batch_norm = \"local\": an audit computes whole batches on each process, with statistics "
        "of the whole batch, and would compare the solution with that of another system. Choose "
        "batch_norm = \"synchronised\", or leave the table `audit` out");
  }
  return statistics;
}

}  // namespace

void mark_batch_norm(TableSpec& spec) {
  for (ParameterSpec& one : spec.parameters) {
    if (one.name == batch_norm_key) {
      one.traits[default_is_absence] = true;
    }
  }
}

StageBatchStatistics::StageBatchStatistics(const StageContext& context)
    : scope_(statistics_of(context.stage.table)) {}

}  // namespace bissl::host
