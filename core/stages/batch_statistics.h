#pragma once

#include "bissl/parameters.h"
#include "models/batch_statistics.h"
#include "pipeline/table.h"
#include "stages/context.h"

#include <string>

namespace bissl::host {

/// The key of a stage that says what its backbones' normalisations take their statistics of.
inline constexpr const char* batch_norm_key = "batch_norm";

/// Declares `batch_norm`, for a kind of stage that trains a backbone.
template <class Options>
void add_batch_norm(Schema<Options>& schema, std::string Options::*member) {
  schema
      .add(batch_norm_key, member,
           "what batch normalisation of the backbone takes its statistics of where several "
           "processes train together: \"synchronised\" of the whole batch, as one process does, "
           "\"local\" on each process of its part")
      .choices({"synchronised", "local"});
}

/// What the tables of kinds that declare it say of the key: at its default the stage's key in the
/// store is the one without it.
void mark_batch_norm(TableSpec& spec);

/// Has the statistics of a stage's table in force while it lives; around all that its run or its
/// trial does. Throws Error(input) for local ones with audits.
class StageBatchStatistics {
 public:
  explicit StageBatchStatistics(const StageContext& context);

 private:
  BatchStatisticsScope scope_;
};

}  // namespace bissl::host
