#pragma once

#include "bissl/downstream.h"
#include "stages/context.h"

namespace bissl {

/// The metrics of backbone and head on all samples of the data that `evaluate` (the subtable of
/// that name) names, in evaluation mode; both are put back into the mode that they were in. `shape`
/// is that of the training's views, which the evaluation's must have.
Metrics evaluate(const StageContext& context, const Table& table, Backbone& backbone,
                 Downstream& downstream, const std::vector<std::string>& classes,
                 const ImageShape& shape);

}  // namespace bissl
