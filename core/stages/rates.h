#pragma once

#include "bissl/backbone.h"
#include "bissl/optimizer.h"
#include "pipeline/pipeline.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

// The table `rates` of what is trained: how fast which parameters move.

/// The factor on the learning rate for steps of `step_samples` samples; 1 without `rates.scaling`.
double rate_scaling(const Table& table, int64_t step_samples);

/// Takes the parameters that the groups of `table` freeze out of what is trained: they require no
/// gradient from now on. `parameters` are all that would be, by their names. Throws Error(input)
/// where none is left.
void freeze(const Table& table, const NamedTensors& parameters);

/// Throws Error(input) where a group of `table` freezes parameters, which a level of a bissl stage
/// does not take; `path` leads to the table: "lower.".
void refuse_frozen(const Table& table, const std::string& path);

/// The optimizer of a table for `parameters`, whose names begin with "backbone." where they are
/// those of `backbone`, with what `rates` says of them. Throws Error(input) for a pattern that
/// matches no parameter, for weight decays of an optimizer that has none, and for a layer decay on
/// a backbone that does not know its layers' depths.
std::shared_ptr<Optimizer> make_optimizer(const Table& table, const NamedTensors& parameters,
                                          Backbone& backbone, int64_t step_samples);

/// The learning rates of a stage that `rates.scaling` has made, by the key of their optimizer:
/// ("lower.optimizer.lr", 0.4). Empty where nothing is scaled.
std::vector<std::pair<std::string, double>> scaled_rates(const Stage& stage);

}  // namespace bissl::host
