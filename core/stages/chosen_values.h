#pragma once

#include "store/run_results.h"
#include "store/stage_results.h"

#include <string>
#include <utility>
#include <vector>

namespace bissl::host {

/// What a stage chose where its table says "auto", by the key in the table: ("upper.lr_factor",
/// 0.5).
std::vector<std::pair<std::string, double>> chosen_values(const StageResults& results);

/// A run's pipeline.lock.toml with those of its stages that have results, in the table
/// `lock.chosen` at its end. `lock` is what the pipeline's own is.
std::string with_chosen_values(std::string lock, const RunResults& results);

}  // namespace bissl::host
