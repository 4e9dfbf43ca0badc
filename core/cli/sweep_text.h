#pragma once

#include "sweep/estimate.h"
#include "sweep/state.h"

#include <nlohmann/json.hpp>

#include <string>

namespace bissl::host {

/// What a sweep consists of: "36 cells, 87 stages (108 without sharing), …".
std::string summary_text(SweepState& state);

/// The graph of a sweep: each level of stages with how often it is shared, what is in the store,
/// and an estimate of time.
std::string plan_text(SweepState& state, const SweepEstimate& estimate, int jobs);
nlohmann::json plan_json(SweepState& state, const SweepEstimate& estimate, int jobs);

/// The cells with their states and results, and what failed.
std::string cells_text(SweepState& state);
nlohmann::json cells_json(SweepState& state);

}  // namespace bissl::host
