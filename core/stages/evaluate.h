#pragma once

#include "bissl/downstream.h"
#include "data/batches.h"
#include "stages/context.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl {

/// `evaluate = { … }`
struct EvaluateOptions {
  std::string data;
  int64_t batch = 250;
};

EvaluateOptions parse_evaluate(const Table& table);
TableSpec evaluate_table();

/// The batches on which `evaluate` (the subtable of that name) scores, in their order; of `batch`
/// samples, if that is given, instead of the table's. Error(input) if the data's targets or its
/// views are not those of the training.
std::shared_ptr<BatchSource> evaluation_batches(const StageContext& context, const Table& table,
                                                const TargetSpec& targets, const ImageShape& shape,
                                                std::optional<int64_t> batch = std::nullopt);

/// The metrics of backbone and head on the first `batches` of the source, in evaluation mode; both
/// are put back into the mode that they were in.
Metrics evaluate(const StageContext& context, const std::shared_ptr<BatchSource>& source,
                 int64_t batches, Backbone& backbone, Downstream& downstream);

}  // namespace bissl
