#pragma once

#include "bissl/downstream.h"
#include "data/batches.h"
#include "stages/context.h"

#include <memory>
#include <string>
#include <vector>

namespace bissl {

/// The batches on which `evaluate` (the subtable of that name) scores, in their order. Error(input)
/// if the data's classes or its views are not those of the training.
std::shared_ptr<BatchSource> evaluation_batches(const StageContext& context, const Table& table,
                                                const std::vector<std::string>& classes,
                                                const ImageShape& shape);

/// The metrics of backbone and head on all samples of evaluation_batches, in evaluation mode;
/// both are put back into the mode that they were in.
Metrics evaluate(const StageContext& context, const Table& table, Backbone& backbone,
                 Downstream& downstream, const std::vector<std::string>& classes,
                 const ImageShape& shape);

}  // namespace bissl
